from __future__ import annotations

import hashlib
import random
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.semantic_cache.eviction import Limits, Policy
from plugins.semantic_cache.records import Change, Deleted, Flushed, Inserted, Meta
from plugins.semantic_cache.replica import Replica

_DIMENSION = 8
_EXAMPLES = 10
_OPERATIONS = 10_000
_QUESTIONS = 400
_OPERATION_SHARES = {
    "insert": 40,
    "near": 25,
    "exact": 15,
    "touch": 4,
    "remove": 4,
    "log": 6,
    "wait": 4,
    "maintain": 1.8,
    "flush": 0.01,
}


class _Traffic:
    """Many tenants that ask the same questions, one of them a large one, and what each owns."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        vectors = np.random.default_rng(seed).standard_normal((_QUESTIONS, _DIMENSION))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        self.vectors = vectors.astype(np.float32)
        policy = self.random.choice(list(Policy))
        self.replica = Replica(
            dimension=_DIMENSION,
            embedder="e1",
            limits={"small": Limits(20, 2_000, policy)},
            default=Limits(self.random.choice([300, 3_000]), 1_000_000, policy),
        )
        self.now_s = 0.0
        self.owners: dict[str, tuple[bytes, bytes]] = {}
        self.log: list[Change] = []
        self.hits = Counter()

    def partition(self) -> bytes:
        tenant = 0 if self.random.random() < 0.5 else self.random.randrange(500)
        return hashlib.sha256(b"%d" % tenant).digest()[:16]

    def question(self) -> int:
        return self.random.randrange(_QUESTIONS)

    @staticmethod
    def call(partition: bytes, question: int) -> bytes:
        return hashlib.sha256(partition + b"%d" % question).digest()[:16]

    def any_id(self) -> str:
        return self.random.choice(list(self.owners)) if self.owners else f"{0:016x}"

    def insert(self) -> None:
        partition, question = self.partition(), self.question()
        exact = self.call(partition, question)
        meta = Meta(
            id=f"{self.random.getrandbits(64):016x}",
            partition=partition,
            exact=exact,
            route=self.random.choice(["chat", "small"]) if partition[0] % 2 else "chat",
            tenant=partition.hex(),
            model="gpt-5",
            tags=(),
            vector=self.vectors[question],
            embedder="e1",
            created_s=self.now_s,
            fresh_s=self.now_s + 50,
            expires_s=self.now_s + self.random.choice([3, 50, 500]),
            body_bytes=self.random.randrange(1, 200),
            saves_s=self.random.random(),
            saves_usd=self.random.random() / 100,
        )
        self.owners[meta.id] = (partition, exact)
        self.log.append(Inserted(meta))
        if self.random.random() < 0.8:
            self.replica.insert(meta, self.now_s)

    def near(self) -> None:
        partition = self.partition()
        vector = self.vectors[self.question()]
        for match in self.replica.near(partition, vector, 4, self.now_s):
            assert self.owners[match.entry.id][0] == partition
            assert match.entry.tenant == partition.hex()
            assert match.entry.expires_s > self.now_s
            self.hits["near"] += 1

    def exact(self) -> None:
        exact = self.call(self.partition(), self.question())
        entry = self.replica.exact(exact, self.now_s)
        if entry is not None:
            assert self.owners[entry.id][1] == exact
            assert entry.expires_s > self.now_s
            self.hits["exact"] += 1

    def touch(self) -> None:
        self.replica.touch(self.any_id(), self.now_s)

    def remove(self) -> None:
        id_ = self.any_id()
        self.replica.remove([id_])
        if self.random.random() < 0.8:
            self.log.append(Deleted((id_,)))

    def flush(self) -> None:
        self.log.append(Flushed())

    def read_log(self) -> None:
        until = self.random.randrange(len(self.log) + 1)
        changes, self.log = self.log[:until], self.log[until:]
        self.replica.apply(changes, self.now_s)

    def wait(self) -> None:
        self.now_s += self.random.random() * 2
        self.replica.expire(self.now_s)

    def maintain(self) -> None:
        for _ in range(self.random.randrange(4)):
            if (work := self.replica.maintain()) is not None:
                work()

    def operate(self, operations: int) -> None:
        steps = {
            **{name: getattr(self, name) for name in _OPERATION_SHARES if name != "log"},
            "log": self.read_log,
        }
        names, shares = list(_OPERATION_SHARES), list(_OPERATION_SHARES.values())
        for name in self.random.choices(names, shares, k=operations):
            steps[name]()


@settings(max_examples=_EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_no_lookup_of_100_000_operations_returns_an_entry_of_another_partition(seed):
    traffic = _Traffic(seed)
    traffic.operate(_OPERATIONS)
    assert min(traffic.hits["near"], traffic.hits["exact"]) > 50
