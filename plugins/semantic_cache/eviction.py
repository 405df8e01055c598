"""Eviction: which entries of a route leave when it holds more than it may."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from plugins.semantic_cache.entries import Entries
from plugins.semantic_cache.slot_heap import SlotHeap

_USD_PER_SECOND = 0.001
"""What a second of waiting is worth beside money, so that answers without a price have a worth."""
_ENTRY_BYTES = 600
"""What an entry takes of each process beside its body."""


class Policy(Enum):
    """What leaves first."""

    LRU = "lru"
    """What was not served for longest."""
    COST = "cost"
    """What saves least for the memory that it takes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a route may keep.

    Args:
        max_entries: at least 1.
        max_bytes: of bodies together.
        policy: what leaves first.
    """

    max_entries: int
    max_bytes: int
    policy: Policy = Policy.LRU


class Ranks:
    """What the queues of all routes share: priorities, by slot, and the count of uses."""

    def __init__(self) -> None:
        self.priorities = array("d")
        self.positions = array("i")
        self.uses = 0


class Queue:
    """The entries of one route in the order in which they leave.

    With `cost` it is GDSF: an entry's priority is `L + frequency x worth / size`, and L rises to
    the priority of what leaves, so what is no longer asked for ages (Cherkasova, Improving WWW
    Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy, HPL-98-69R1, 1998).

    Args:
        limits: of the route.
        entries: that slots are of.
        ranks: shared by all queues.
    """

    def __init__(self, limits: Limits, entries: Entries, ranks: Ranks) -> None:
        self._limits = limits
        self._entries = entries
        self._ranks = ranks
        self._heap = SlotHeap(ranks.priorities, ranks.positions)
        self._bytes = 0
        self._risen = 0.0

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def body_bytes(self) -> int:
        """What the bodies of its entries take together."""
        return self._bytes

    def leaver(self, body_bytes: int) -> int:
        """Return the slot that must leave before an entry can come; -1 when there is room."""
        limits = self._limits
        if len(self._heap) < limits.max_entries and self._bytes + body_bytes <= limits.max_bytes:
            return -1
        slot = self._heap.first()
        self._risen = max(self._risen, self._ranks.priorities[slot])
        return slot

    def add(self, slot: int) -> None:
        """Take in an entry."""
        priorities = self._ranks.priorities
        while slot >= len(priorities):
            priorities.append(0.0)
        priorities[slot] = self._priority(slot)
        self._bytes += self._entries.body_bytes[slot]
        self._heap.push(slot)

    def remove(self, slot: int) -> None:
        """Let an entry go that is still in the columns."""
        self._bytes -= self._entries.body_bytes[slot]
        self._heap.remove(slot)

    def touch(self, slot: int) -> None:
        """Note that an entry was served, which is counted already."""
        self._ranks.priorities[slot] = self._priority(slot)
        self._heap.changed(slot)

    @property
    def size_bytes(self) -> int:
        """What it takes of memory, without what it shares."""
        return self._heap.size_bytes

    def _priority(self, slot: int) -> float:
        match self._limits.policy:
            case Policy.LRU:
                # A count, not a time: clocks step, and two uses may share a moment.
                self._ranks.uses += 1
                return float(self._ranks.uses)
            case Policy.COST:
                entries = self._entries
                worth = entries.saves_usd[slot] + _USD_PER_SECOND * entries.saves_s[slot]
                size = entries.body_bytes[slot] + _ENTRY_BYTES
                return self._risen + (entries.hits[slot] + 1) * worth / size
        assert_never(self._limits.policy)
