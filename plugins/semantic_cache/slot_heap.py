"""A heap of slots whose priorities change: 8 bytes a slot, every operation O(log n)."""

from __future__ import annotations

from array import array

_OUTSIDE = -1


class SlotHeap:
    """Gives the slot of least priority, and lets any slot change or leave.

    Args:
        priorities: by slot; shared with whoever sets them.
        positions: by slot, where it is in its heap. Heaps that never have the same slot can share
            one.
    """

    def __init__(self, priorities: array[float], positions: array[int]) -> None:
        self._priorities = priorities
        self._positions = positions
        self._slots = array("i")

    def __len__(self) -> int:
        return len(self._slots)

    def first(self) -> int:
        """Return the slot of least priority; there must be one."""
        return self._slots[0]

    def push(self, slot: int) -> None:
        """Add a slot; its priority is set already."""
        positions = self._positions
        while slot >= len(positions):
            positions.append(_OUTSIDE)
        self._slots.append(slot)
        self._rise(len(self._slots) - 1, slot)

    def remove(self, slot: int) -> None:
        """Take out a slot that is in this heap."""
        at = self._positions[slot]
        last = self._slots.pop()
        self._positions[slot] = _OUTSIDE
        if last != slot:
            self._settle(at, last)

    def changed(self, slot: int) -> None:
        """Put a slot of this heap where its new priority belongs."""
        self._settle(self._positions[slot], slot)

    @property
    def size_bytes(self) -> int:
        """What it takes of memory, without what it shares."""
        return 4 * len(self._slots)

    def _settle(self, at: int, slot: int) -> None:
        parent = (at - 1) >> 1
        if at and self._priorities[slot] < self._priorities[self._slots[parent]]:
            self._rise(at, slot)
        else:
            self._sink(at, slot)

    def _rise(self, at: int, slot: int) -> None:
        slots, priorities, positions = self._slots, self._priorities, self._positions
        priority = priorities[slot]
        while at:
            parent = (at - 1) >> 1
            above = slots[parent]
            if priorities[above] <= priority:
                break
            slots[at] = above
            positions[above] = at
            at = parent
        slots[at] = slot
        positions[slot] = at

    def _sink(self, at: int, slot: int) -> None:
        slots, priorities, positions = self._slots, self._priorities, self._positions
        priority, length = priorities[slot], len(slots)
        while (child := 2 * at + 1) < length:
            below = slots[child]
            if child + 1 < length and priorities[slots[child + 1]] < priorities[below]:
                child += 1
                below = slots[child]
            if priority <= priorities[below]:
                break
            slots[at] = below
            positions[below] = at
            at = child
        slots[at] = slot
        positions[slot] = at
