"""A hash table from fixed-width keys to slots, a few bytes an entry instead of a dict's hundred."""

from __future__ import annotations

from array import array

_SEGMENT_BITS = 10
_SEGMENTS = 1 << _SEGMENT_BITS
_FIRST_SIZE = 8
_EMPTY = -1


class KeyTable:
    """Finds slots by key: linear probing, in segments that double one at a time.

    Doubling a table of a million entries at once would stop everything for a second; a segment
    has a thousandth of them. Deleting moves later entries back, so there are no tombstones.

    Args:
        width: bytes of a key.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._keys = bytearray()
        self._segments: list[array[int] | None] = [None] * _SEGMENTS
        self._counts = array("i", bytes(4 * _SEGMENTS))

    def write(self, slot: int, key: bytes) -> None:
        """Set a slot's key; the slot is not in the table, or not yet."""
        end = (slot + 1) * self._width
        if end > len(self._keys):
            self._keys.extend(bytes(end - len(self._keys)))
        self._keys[end - self._width : end] = key

    def key(self, slot: int) -> bytes:
        """Return a slot's key."""
        return bytes(self._keys[slot * self._width : (slot + 1) * self._width])

    def find(self, key: bytes) -> int:
        """Return the slot in the table that has a key, -1 without one."""
        hashed = hash(key)
        segment = self._segments[hashed & (_SEGMENTS - 1)]
        if segment is None:
            return _EMPTY
        width, keys, mask = self._width, self._keys, len(segment) - 1
        at = (hashed >> _SEGMENT_BITS) & mask
        while (slot := segment[at]) != _EMPTY:
            if keys[slot * width : (slot + 1) * width] == key:
                return slot
            at = (at + 1) & mask
        return _EMPTY

    def add(self, slot: int) -> None:
        """Enter a slot under its key, which no other slot in the table has."""
        hashed = self._hashed(slot)
        number = hashed & (_SEGMENTS - 1)
        segment = self._segments[number]
        if segment is None:
            segment = self._segments[number] = array("i", [_EMPTY]) * _FIRST_SIZE
        elif self._counts[number] * 3 > len(segment) * 2:
            segment = self._segments[number] = self._doubled(segment)
        self._counts[number] += 1
        _place(segment, hashed >> _SEGMENT_BITS, slot)

    def replace(self, slot: int, other: int) -> None:
        """Let another slot of the same key stand in a slot's place."""
        segment, at = self._locate(slot)
        segment[at] = other

    def remove(self, slot: int) -> None:
        """Take out a slot that is in the table; its key stays written."""
        segment, hole = self._locate(slot)
        mask = len(segment) - 1
        at = (hole + 1) & mask
        while (later := segment[at]) != _EMPTY:
            home = (self._hashed(later) >> _SEGMENT_BITS) & mask
            if (at - home) & mask >= (at - hole) & mask:
                segment[hole] = later
                hole = at
            at = (at + 1) & mask
        segment[hole] = _EMPTY
        self._counts[self._hashed(slot) & (_SEGMENTS - 1)] -= 1

    @property
    def size_bytes(self) -> int:
        """What it takes of memory."""
        held = sum(4 * len(segment) + 80 for segment in self._segments if segment is not None)
        return len(self._keys) + held + 12 * _SEGMENTS

    def _hashed(self, slot: int) -> int:
        # Python's hash has a secret in it: nobody can choose keys that all come to one place.
        return hash(self.key(slot))

    def _locate(self, slot: int) -> tuple[array[int], int]:
        hashed = self._hashed(slot)
        segment = self._segments[hashed & (_SEGMENTS - 1)]
        if segment is None:
            raise KeyError(slot)
        mask = len(segment) - 1
        at = (hashed >> _SEGMENT_BITS) & mask
        while (found := segment[at]) != slot:
            if found == _EMPTY:
                raise KeyError(slot)
            at = (at + 1) & mask
        return segment, at

    def _doubled(self, segment: array[int]) -> array[int]:
        larger = array("i", [_EMPTY]) * (2 * len(segment))
        for slot in segment:
            if slot != _EMPTY:
                _place(larger, self._hashed(slot) >> _SEGMENT_BITS, slot)
        return larger


def _place(segment: array[int], home: int, slot: int) -> None:
    mask = len(segment) - 1
    at = home & mask
    while segment[at] != _EMPTY:
        at = (at + 1) & mask
    segment[at] = slot
