from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from plugins.semantic_cache.key_table import KeyTable

# Few first bytes, so that keys share segments and places in them.
_KEYS = st.tuples(st.integers(0, 3), st.integers(0, 12)).map(
    lambda pair: pair[0].to_bytes(8, "little") + pair[1].to_bytes(8, "little")
)


class KeyTableAgainstDict(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.table = KeyTable(16)
        self.known: dict[bytes, int] = {}
        self.free = list(range(100))

    @rule(key=_KEYS)
    def add(self, key):
        if key not in self.known:
            slot = self.free.pop()
            self.table.write(slot, key)
            self.table.add(slot)
            self.known[key] = slot

    @rule(key=_KEYS)
    def remove(self, key):
        if key in self.known:
            slot = self.known.pop(key)
            self.table.remove(slot)
            self.free.append(slot)

    @rule(key=_KEYS)
    def replace(self, key):
        if key in self.known:
            slot = self.free.pop()
            self.table.write(slot, key)
            self.table.replace(self.known[key], slot)
            self.free.append(self.known[key])
            self.known[key] = slot

    @rule(key=_KEYS)
    def an_unknown_key_is_not_found(self, key):
        if key not in self.known:
            assert self.table.find(key) == -1

    @invariant()
    def every_key_is_found_at_its_slot(self):
        assert all(self.table.find(key) == slot for key, slot in self.known.items())
        assert all(self.table.key(slot) == key for key, slot in self.known.items())


TestKeyTableAgainstDict = KeyTableAgainstDict.TestCase
