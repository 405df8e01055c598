from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from plugins.semantic_cache.eviction import Limits
from plugins.semantic_cache.records import Change, Deleted, Flushed, Inserted, Meta
from plugins.semantic_cache.replica import Replica

_LIMITS = {"chat": Limits(6, 1_000), "small": Limits(50, 60)}
_VECTORS = np.random.default_rng(5).standard_normal((12, 6)).astype(np.float32)
_VECTORS /= np.linalg.norm(_VECTORS, axis=1, keepdims=True)
_PARTITIONS = [bytes([number]) * 16 for number in range(3)]
_IDS = st.integers(0, 30)
_METAS = st.builds(
    lambda number, partition, question, route, lasts_s, size: (
        number,
        _PARTITIONS[partition],
        question,
        route,
        lasts_s,
        size,
    ),
    _IDS,
    st.integers(0, 2),
    st.integers(0, 11),
    st.sampled_from(["chat", "small"]),
    st.integers(1, 9),
    st.sampled_from([5, 20, 61]),
)


class _Model:
    """What a replica does, as plainly as it can be said."""

    def __init__(self) -> None:
        self.entries: dict[str, Meta] = {}
        self.used: dict[str, int] = {}
        self.removed: set[str] = set()
        self.uses = 0

    def forget(self, id_: str, *, stays_away: bool) -> None:
        self.entries.pop(id_, None)
        if stays_away:
            self.removed.add(id_)

    def take(self, meta: Meta, now_s: float) -> list[str]:
        known = self.entries.get(meta.id)
        if known is not None and (known.created_s, known.exact) == (meta.created_s, meta.exact):
            return []
        self.entries.pop(meta.id, None)
        twins = [each for each in self.entries.values() if each.exact == meta.exact]
        limits = _LIMITS[meta.route]
        if (
            any((twin.created_s, twin.id) > (meta.created_s, meta.id) for twin in twins)
            or meta.expires_s <= now_s
            or meta.body_bytes > limits.max_bytes
        ):
            self.forget(meta.id, stays_away=True)
            return [meta.id]
        left = [twin.id for twin in twins]
        for id_ in left:
            self.forget(id_, stays_away=True)
        while True:
            mates = [each for each in self.entries.values() if each.route == meta.route]
            size = sum(each.body_bytes for each in mates) + meta.body_bytes
            if len(mates) < limits.max_entries and size <= limits.max_bytes:
                break
            id_ = min((each.id for each in mates), key=self.used.__getitem__)
            self.forget(id_, stays_away=True)
            left.append(id_)
        self.entries[meta.id] = meta
        self.use(meta.id)
        return left

    def use(self, id_: str) -> None:
        self.uses += 1
        self.used[id_] = self.uses


class ReplicaAgainstModel(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.replica = Replica(dimension=6, embedder="e1", limits=_LIMITS, default=Limits(1, 1))
        self.model = _Model()
        self.now_s = 0.0
        self.log: list[Change] = []

    def meta(self, drawn) -> Meta:
        number, partition, question, route, lasts_s, size = drawn
        return Meta(
            id=f"{number:016x}",
            partition=partition,
            exact=partition[:8] + question.to_bytes(8, "big"),
            route=route,
            tenant=partition.hex(),
            model="gpt-5",
            tags=(route,),
            vector=_VECTORS[question],
            embedder="e1",
            created_s=self.now_s,
            fresh_s=self.now_s + lasts_s,
            expires_s=self.now_s + lasts_s,
            body_bytes=size,
            saves_s=1.0,
            saves_usd=0.0,
        )

    @rule(drawn=_METAS)
    def insert(self, drawn):
        meta = self.meta(drawn)
        self.log.append(Inserted(meta))
        self.model.removed.discard(meta.id)
        assert self.replica.insert(meta, self.now_s) == self.model.take(meta, self.now_s)

    @rule(drawn=_METAS)
    def another_process_inserts(self, drawn):
        self.log.append(Inserted(self.meta(drawn)))

    @rule(number=_IDS)
    def another_process_deletes(self, number):
        self.log.append(Deleted((f"{number:016x}",)))

    @rule()
    def another_process_flushes(self):
        self.log.append(Flushed())

    @rule(count=st.integers(1, 10))
    def read_the_log(self, count):
        changes, self.log = self.log[:count], self.log[count:]
        told = list(changes)
        for at in reversed(range(len(changes))):
            if isinstance(changes[at], Flushed):
                self.model.entries.clear()
                del changes[: at + 1]
                break
        last = {
            id_: at
            for at, each in enumerate(changes)
            if isinstance(each, Deleted)
            for id_ in each.ids
        }
        for id_ in last:
            self.model.forget(id_, stays_away=False)
            self.model.removed.discard(id_)
        left = []
        for at, change in enumerate(changes):
            if not isinstance(change, Inserted) or at <= last.get(change.meta.id, -1):
                continue
            if change.meta.id not in self.model.removed:
                left += self.model.take(change.meta, self.now_s)
        assert self.replica.apply(told, self.now_s) == left

    @rule(number=_IDS)
    def remove(self, number):
        id_ = f"{number:016x}"
        self.replica.remove([id_])
        self.model.forget(id_, stays_away=True)

    @rule(number=_IDS)
    def touch(self, number):
        id_ = f"{number:016x}"
        self.replica.touch(id_, self.now_s)
        if id_ in self.model.entries and self.model.entries[id_].expires_s > self.now_s:
            self.model.use(id_)

    @rule(passes_s=st.integers(1, 4))
    def expire(self, passes_s):
        self.now_s += passes_s
        over = {id_ for id_, meta in self.model.entries.items() if meta.expires_s <= self.now_s}
        assert set(self.replica.expire(self.now_s)) == over
        for id_ in over:
            self.model.forget(id_, stays_away=False)

    @rule(partition=st.sampled_from(_PARTITIONS), question=st.integers(0, 11))
    def look_up(self, partition, question):
        exact = partition[:8] + question.to_bytes(8, "big")
        found = self.replica.exact(exact, self.now_s)
        same = [each.id for each in self.model.entries.values() if each.exact == exact]
        assert ([] if found is None else [found.id]) == same
        matches = self.replica.near(partition, _VECTORS[question], 3, self.now_s)
        cosines = sorted(
            (
                float(meta.vector @ _VECTORS[question])
                for meta in self.model.entries.values()
                if meta.partition == partition
            ),
            reverse=True,
        )
        assert all(self.model.entries[each.entry.id].partition == partition for each in matches)
        assert [each.cosine for each in matches] == pytest.approx(cosines[:3], abs=0.02)

    @invariant()
    def both_know_the_same(self):
        entries = self.model.entries
        assert {entry.id for entry in self.replica.select(self.now_s)} == set(entries)
        assert len(self.replica) == len(entries)
        for route, (count, size) in self.replica.usage().items():
            mates = [each for each in entries.values() if each.route == route]
            assert (count, size) == (len(mates), sum(each.body_bytes for each in mates))


TestReplicaAgainstModel = ReplicaAgainstModel.TestCase
TestReplicaAgainstModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
