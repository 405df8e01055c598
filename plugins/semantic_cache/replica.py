"""The replica: what one process knows of a store, kept current from the store's log."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from plugins.semantic_cache.entries import HASH_BYTES, Entries, Entry, Wanted, id_key
from plugins.semantic_cache.eviction import Limits, Queue, Ranks
from plugins.semantic_cache.partitions import PartitionedIndex
from plugins.semantic_cache.records import Change, Deleted, Flushed, Inserted, Meta, Vector
from plugins.semantic_cache.slot_heap import SlotHeap

_EXPIRED_AT_ONCE = 512
"""Some 15 ms' work at most."""
_REMEMBERED = 4096
"""Removed entries that the log may still tell of: those of its last second, and more."""
_SEARCHES = 6
_UNIT_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Match:
    """An entry whose question is near the one asked."""

    entry: Entry
    cosine: float


class Replica:
    """Finds entries, and decides which ones leave; without I/O, and used from one thread.

    Whoever removes an entry here also deletes it in the store: methods return the ids for that.
    A removed entry stays away although the log may still tell of its insertion.

    Args:
        dimension: of vectors.
        embedder: fingerprint of what makes them here; entries of another one are hit by the same
            call only.
        limits: by the route's name.
        default: limits of each route that has none.
    """

    def __init__(
        self, *, dimension: int, embedder: str, limits: Mapping[str, Limits], default: Limits
    ) -> None:
        self._dimension = dimension
        self._embedder = embedder
        self._limits = dict(limits)
        self._default = default
        self._removed: OrderedDict[str, None] = OrderedDict()
        self._expired: list[str] = []
        self.clear()

    def insert(self, meta: Meta, now_s: float) -> list[str]:
        """Take in an entry that this process made; the log brings it again.

        Returns:
            Ids of entries that left for it: evicted, expired, or of the same call but older. Its
            own, where it is over, too large for its route, or older than another of the same call.
        """
        self._removed.pop(meta.id, None)
        left: list[str] = []
        self._take(meta, now_s, left)
        return left

    def apply(self, changes: Iterable[Change], now_s: float) -> list[str]:
        """Take in what the store's log tells, which may be known already.

        Returns:
            As `insert`; what the log deletes is not among them.
        """
        deleted: dict[str, int] = {}
        inserted: list[tuple[int, Meta]] = []
        for at, change in enumerate(changes):
            match change:
                case Inserted(meta):
                    inserted.append((at, meta))
                case Deleted(ids):
                    deleted |= dict.fromkeys(ids, at)
                case Flushed():
                    deleted.clear()
                    inserted.clear()
                    self.clear()
        # Deletions come first: what another process evicted for its insertion is room for it here.
        for id_ in deleted:
            self._removed.pop(id_, None)
            self._drop_id(id_)
        left: list[str] = []
        for at, meta in inserted:
            is_new = at > deleted.get(meta.id, -1) and meta.id not in self._removed
            if is_new and _is_whole(meta):
                self._take(meta, now_s, left)
        return left

    def remove(self, ids: Iterable[str]) -> None:
        """Forget entries at once, before the log tells; unknown ids are no error."""
        for id_ in ids:
            self._drop_id(id_)
            self._remember(id_)

    def expire(self, now_s: float) -> list[str]:
        """Forget entries whose time is over, a few hundred at once; call it every second or so.

        Returns:
            Their ids, with those that lookups found expired and forgot.
        """
        left, self._expired = self._expired, []
        expires_s = self._entries.expires_s
        for _ in range(_EXPIRED_AT_ONCE):
            if not len(self._ending) or expires_s[self._ending.first()] > now_s:
                break
            left.append(self._drop(self._ending.first()))
        return left

    def exact(self, exact: bytes, now_s: float) -> Entry | None:
        """Return the entry of the same call, not yet expired (it may be stale)."""
        return self._unexpired(self._entries.by_exact(exact), now_s)

    def near(self, partition: bytes, vector: Vector, k: int, now_s: float) -> list[Match]:
        """Return the at most k nearest of a partition that are not expired, nearest first."""
        found = []
        wanted = k
        for _ in range(_SEARCHES):
            neighbours = self._index.search(partition, vector, wanted)
            over = [each.key for each in neighbours if self._is_over(each.key, now_s)]
            found = [each for each in neighbours if each.key not in over][:k]
            for slot in over:
                self._expired.append(self._drop(slot))
            if not over or len(found) == k:
                break
            wanted *= 2
        return [Match(self._entries[each.key], each.cosine) for each in found]

    def get(self, id_: str, now_s: float) -> Entry | None:
        """Return an entry by id, not yet expired."""
        return self._unexpired(self._entries.by_id(id_), now_s)

    def touch(self, id_: str, now_s: float) -> None:
        """Note that an entry was served; an unknown id is no error."""
        slot = self._entries.by_id(id_)
        if slot >= 0 and not self._is_over(slot, now_s):
            self._entries.hits[slot] += 1
            self._queues[self._entries.route[slot]].touch(slot)

    def select(
        self,
        now_s: float,
        *,
        ids: Sequence[str] | None = None,
        tag: str | None = None,
        tenant: str | None = None,
        model: str | None = None,
        route: str | None = None,
        limit: int | None = None,
    ) -> list[Entry]:
        """Return the entries that have all that is asked for, newest first."""
        entries = self._entries
        slots = entries.select(Wanted(tag, tenant, model, route), now_s)
        if ids is not None:
            slots = slots[np.isin(slots, [entries.by_id(id_) for id_ in ids])]
        return [entries[slot] for slot in slots[:limit].tolist()]

    def maintain(self) -> Callable[[], None] | None:
        """Do a short step of what the index needs to stay quick.

        Returns:
            Work for a thread, to be done before the next call; None when nothing is left. As in
            `while (work := replica.maintain()) is not None: await asyncio.to_thread(work)`,
            every second or so.
        """
        return self._index.maintain()

    def usage(self) -> dict[str, tuple[int, int]]:
        """Return by route how many entries there are, and bytes of their bodies."""
        return {
            self._entries.route_name(number): (len(queue), queue.body_bytes)
            for number, queue in self._queues.items()
        }

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """What it takes of memory beside bodies, about."""
        return (
            self._entries.size_bytes
            + self._index.size_bytes
            + self._ending.size_bytes
            + sum(queue.size_bytes for queue in self._queues.values())
            + 16 * len(self._ranks.priorities)
            + 200 * len(self._removed)
        )

    def clear(self) -> None:
        """Forget everything, before the log tells."""
        self._entries = Entries()
        self._index = PartitionedIndex(self._dimension)
        self._ending = SlotHeap(self._entries.expires_s, array("i"))
        self._ranks = Ranks()
        self._queues: dict[int, Queue] = {}

    def _take(self, meta: Meta, now_s: float, left: list[str]) -> None:
        entries = self._entries
        limits = self._limits.get(meta.route, self._default)
        known = entries.by_id(meta.id)
        if known >= 0:
            if entries.created_s[known] == meta.created_s and entries.exact(known) == meta.exact:
                return
            self._drop(known)
        twin = entries.by_exact(meta.exact)
        # Every process must keep the same one, whatever order they come in.
        is_older = twin >= 0 and (entries.created_s[twin], entries.id(twin)) > (
            meta.created_s,
            meta.id,
        )
        if is_older or not meta.expires_s > now_s or meta.body_bytes > limits.max_bytes:
            self._remember(meta.id)
            left.append(meta.id)
            return
        if twin >= 0:
            left.append(self._leave(twin))
        queue = self._queues.get(entries.route_number(meta.route))
        while queue is not None and (leaver := queue.leaver(meta.body_bytes)) >= 0:
            left.append(self._leave(leaver))
            queue = self._queues.get(entries.route_number(meta.route))
        slot = entries.add(meta)
        number = entries.route[slot]
        if number not in self._queues:
            self._queues[number] = Queue(limits, entries, self._ranks)
        self._queues[number].add(slot)
        self._ending.push(slot)
        if meta.vector is not None and self._is_comparable(meta.vector, meta.embedder):
            self._index.add(slot, meta.partition, meta.vector)

    def _is_comparable(self, vector: Vector, embedder: str) -> bool:
        return (
            embedder == self._embedder
            and vector.shape == (self._dimension,)
            # Not a number fails every comparison.
            and abs(float(np.vdot(vector, vector)) - 1) <= _UNIT_TOLERANCE
        )

    def _is_over(self, slot: int, now_s: float) -> bool:
        return self._entries.expires_s[slot] <= now_s

    def _unexpired(self, slot: int, now_s: float) -> Entry | None:
        return None if slot < 0 or self._is_over(slot, now_s) else self._entries[slot]

    def _leave(self, slot: int) -> str:
        id_ = self._drop(slot)
        self._remember(id_)
        return id_

    def _remember(self, id_: str) -> None:
        self._removed[id_] = None
        if len(self._removed) > _REMEMBERED:
            self._removed.popitem(last=False)

    def _drop_id(self, id_: str) -> None:
        slot = self._entries.by_id(id_)
        if slot >= 0:
            self._drop(slot)

    def _drop(self, slot: int) -> str:
        entries = self._entries
        id_ = entries.id(slot)
        number = entries.route[slot]
        queue = self._queues[number]
        queue.remove(slot)
        # The number of a route without entries comes again as another route's.
        if not len(queue):
            del self._queues[number]
        self._ending.remove(slot)
        self._index.remove(slot)
        entries.remove(slot)
        return id_


def _is_whole(meta: Meta) -> bool:
    # Stores keep torn records away; what got past one must not disturb other entries' rows.
    return (
        id_key(meta.id) is not None
        and len(meta.partition) == HASH_BYTES
        and len(meta.exact) == HASH_BYTES
    )
