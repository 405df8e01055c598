"""The partitioned index: small partitions share rows, large ones have inverted lists each."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from heapq import merge
from itertools import islice

from plugins.semantic_cache.growth import Code, Large, grow
from plugins.semantic_cache.index import Neighbour
from plugins.semantic_cache.inverted_lists import InvertedLists
from plugins.semantic_cache.records import Vector
from plugins.semantic_cache.shared_rows import SharedRows

SMALL = 64
"""A partition of more vectors than this gets lists of its own, at the next `maintain`."""
_ABSENT = -1
_SHARED = -2


class PartitionedIndex:
    """An `Index` for hundreds of thousands of small partitions and a few of up to millions.

    A partition grows by being moved: new lists are trained in a thread on a sample, then vectors
    move there, some dozens at a time. Until the last one has moved, a search looks in both places.
    So no caller ever waits for a rebuild.

    Args:
        dimension: of vectors.
    """

    def __init__(self, dimension: int) -> None:
        self._rows = SharedRows(dimension)
        self._large: dict[bytes, Large] = {}
        self._by_number: list[Large | None] = []
        self._due: dict[bytes, None] = {}
        self._growth: Iterator[Callable[[], None]] | None = None
        self._growing = b""
        # Where each key's vector is: the number of its large partition, or one of the marks above;
        # its list and the parity of the lists; its offset there, or its row.
        self._owners = array("i")
        self._lists = array("i")
        self._offsets = array("i")

    def add(self, key: int, partition: bytes, vector: Vector) -> None:
        """See `Index`."""
        while key >= len(self._owners):
            self._owners.append(_ABSENT)
            self._lists.append(0)
            self._offsets.append(0)
        large = self._large.get(partition)
        if large is None:
            self._owners[key] = _SHARED
            self._offsets[key] = self._rows.add(key, partition, vector)
            if self._rows.count(partition) > SMALL:
                self._due[partition] = None
            return
        lists, codes = large.current.assign(vector[None, :])
        self._enter(key, large, int(lists[0]), codes[0])
        if large.is_due:
            self._due[partition] = None

    def remove(self, key: int) -> None:
        """See `Index`."""
        if not 0 <= key < len(self._owners):
            return
        owner = self._owners[key]
        if owner == _ABSENT:
            return
        self._owners[key] = _ABSENT
        if owner == _SHARED:
            self._rows.remove(self._offsets[key])
            return
        large = self._by_number[owner]
        if large is None:
            raise KeyError(key)
        self._leave(key, large)
        if large.is_due:
            self._due[large.partition] = None

    def search(self, partition: bytes, vector: Vector, k: int) -> list[Neighbour]:
        """See `Index`."""
        large = self._large.get(partition)
        if large is None:
            return self._rows.search(partition, vector, k)
        if large.draining is None and not large.has_rows:
            return large.current.search(vector, k)
        places = [large.current.search(vector, k), self._rows.search(partition, vector, k)]
        if large.draining is not None:
            places.append(large.draining.search(vector, k))
        return list(islice(merge(*places, key=lambda found: -found.cosine), k))

    def maintain(self) -> Callable[[], None] | None:
        """Do a short step of growing, under a millisecond or two.

        Returns:
            Work for a thread, to be done before the next call, while which the index may be used;
            None when nothing is left.
        """
        while True:
            if self._growth is None:
                if not self._due:
                    return None
                partition = next(iter(self._due))
                del self._due[partition]
                self._growth = grow(self, self._rows, partition)
                self._growing = partition
            work = next(self._growth, None)
            if work is not None:
                return work
            self._growth = None
            large = self._large.get(self._growing)
            if large is not None and large.is_due:
                self._due[self._growing] = None

    def __len__(self) -> int:
        return len(self._rows) + sum(large.count for large in self._large.values())

    @property
    def size_bytes(self) -> int:
        """See `Index`."""
        return (
            self._rows.size_bytes
            + sum(large.size_bytes for large in self._large.values())
            + 12 * len(self._owners)
        )

    def large(self, partition: bytes) -> Large | None:
        """See `Grown`."""
        return self._large.get(partition)

    def enlarge(self, partition: bytes, current: InvertedLists) -> Large:
        """See `Grown`."""
        if None in self._by_number:
            number = self._by_number.index(None)
        else:
            number = len(self._by_number)
            self._by_number.append(None)
        large = Large(partition, number, current)
        self._by_number[number] = self._large[partition] = large
        return large

    def forget(self, large: Large) -> None:
        """See `Grown`."""
        self._by_number[large.number] = None
        del self._large[large.partition]

    def move_row(self, key: int, row: int, large: Large, list_number: int, code: Code) -> None:
        """See `Grown`."""
        if self._rows.holds(row, key, large.partition):
            self._rows.remove(row)
            self._enter(key, large, list_number, code)

    def move(self, key: int, large: Large, list_number: int, code: Code) -> None:
        """See `Grown`."""
        draining = large.draining
        # INVARIANT: nothing is added to lists that drain, so a key found there is the same vector.
        if (
            draining is not None
            and self._owners[key] == large.number
            and self._lists[key] & 1 == draining.parity
        ):
            self._leave(key, large)
            self._enter(key, large, list_number, code)

    def _enter(self, key: int, large: Large, list_number: int, code: Code) -> None:
        current = large.current
        self._offsets[key] = current.add(key, list_number, code)
        self._lists[key] = list_number << 1 | current.parity
        self._owners[key] = large.number

    def _leave(self, key: int, large: Large) -> None:
        place, offset = self._lists[key], self._offsets[key]
        lists = large.current
        if large.draining is not None and place & 1 == large.draining.parity:
            lists = large.draining
        moved = lists.remove(place >> 1, offset)
        if moved >= 0:
            self._offsets[moved] = offset
