from __future__ import annotations

from array import array

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from plugins.semantic_cache.slot_heap import SlotHeap

_PRIORITIES = st.floats(-10, 10)


class HeapAgainstDict(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.priorities = array("d", [0.0] * 40)
        self.heap = SlotHeap(self.priorities, array("i"))
        self.known: dict[int, float] = {}

    @rule(slot=st.integers(0, 39), priority=_PRIORITIES)
    def push_or_change(self, slot, priority):
        self.priorities[slot] = priority
        if slot in self.known:
            self.heap.changed(slot)
        else:
            self.heap.push(slot)
        self.known[slot] = priority

    @rule(slot=st.integers(0, 39))
    def remove(self, slot):
        if slot in self.known:
            self.heap.remove(slot)
            del self.known[slot]

    @rule()
    def drain(self):
        order = []
        while len(self.heap):
            slot = self.heap.first()
            order.append(self.priorities[slot])
            self.heap.remove(slot)
        assert order == sorted(self.known.values())
        self.known.clear()

    @invariant()
    def the_first_has_the_least_priority(self):
        assert len(self.heap) == len(self.known)
        if self.known:
            assert self.priorities[self.heap.first()] == min(self.known.values())


TestHeapAgainstDict = HeapAgainstDict.TestCase
