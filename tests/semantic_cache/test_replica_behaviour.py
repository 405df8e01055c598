from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from plugins.semantic_cache.eviction import Limits, Policy
from plugins.semantic_cache.records import Deleted, Flushed, Inserted, Meta
from plugins.semantic_cache.replica import Replica

_DIMENSION = 4
_MANY = Limits(1_000, 1_000_000)
_EAST = np.array([1, 0, 0, 0], np.float32)
_NORTH = np.array([0, 1, 0, 0], np.float32)
_HERE = b"p" * 16


def _replica(default: Limits = _MANY, **limits: Limits) -> Replica:
    return Replica(dimension=_DIMENSION, embedder="e1", limits=limits, default=default)


def _meta(number: int, **changes) -> Meta:
    meta = Meta(
        id=f"{number:016x}",
        partition=_HERE,
        exact=number.to_bytes(16, "big"),
        route="chat",
        tenant="acme",
        model="gpt-5",
        tags=("faq",),
        vector=_EAST,
        embedder="e1",
        created_s=float(number),
        fresh_s=500.0,
        expires_s=1_000.0,
        body_bytes=10,
        saves_s=1.0,
        saves_usd=0.01,
    )
    return replace(meta, **changes)


def _ids(entries) -> list[int]:
    return [int(entry.id, 16) for entry in entries]


def _nearest(replica: Replica, now_s: float = 0.0, partition: bytes = _HERE) -> list[int]:
    return _ids(match.entry for match in replica.near(partition, _EAST, 5, now_s))


def test_an_own_insertion_is_known_at_once_and_once():
    replica = _replica()
    meta = _meta(1)
    assert replica.insert(meta, 0) == []
    assert replica.apply([Inserted(meta)], 0) == []
    assert len(replica) == 1
    assert replica.exact(meta.exact, 0).id == meta.id
    assert _nearest(replica) == [1]


def test_an_entry_tells_what_its_meta_told():
    replica = _replica()
    meta = _meta(1, tags=("a", "b"))
    replica.insert(meta, 0)
    entry = replica.get(meta.id, 0)
    for name in ("id", "route", "tenant", "model", "tags", "created_s", "fresh_s", "expires_s"):
        assert getattr(entry, name) == getattr(meta, name)
    assert (entry.body_bytes, entry.saves_s) == (10, 1.0)
    assert entry.saves_usd == pytest.approx(0.01)


def test_the_hash_of_another_call_finds_nothing():
    replica = _replica()
    replica.insert(_meta(1), 0)
    assert replica.exact(b"x" * 16, 0) is None
    assert replica.exact(b"", 0) is None


def test_near_entries_come_nearest_first():
    replica = _replica()
    between = (_EAST + _NORTH) / np.float32(math.sqrt(2))
    for number, vector in enumerate((_NORTH, between, _EAST)):
        replica.insert(_meta(number, vector=vector), 0)
    matches = replica.near(_HERE, _EAST, 2, 0)
    assert _ids(match.entry for match in matches) == [2, 1]
    assert [match.cosine for match in matches] == pytest.approx([1, math.sqrt(0.5)], abs=0.01)


def test_what_is_removed_here_stays_away_when_the_log_tells_of_it():
    replica = _replica()
    meta = _meta(1)
    replica.insert(meta, 0)
    replica.remove([meta.id, "no id at all"])
    replica.apply([Inserted(meta)], 0)
    assert replica.exact(meta.exact, 0) is None
    assert _nearest(replica) == []
    replica.apply([Deleted((meta.id,))], 0)
    assert len(replica) == 0


def test_what_was_removed_may_be_inserted_anew():
    replica = _replica()
    replica.insert(_meta(1), 0)
    replica.remove([_meta(1).id])
    replica.insert(_meta(1), 0)
    assert _nearest(replica) == [1]


def test_an_entry_deleted_and_inserted_again_in_the_log_is_there():
    replica = _replica()
    replica.apply([Inserted(_meta(1)), Deleted((_meta(1).id,)), Inserted(_meta(1))], 0)
    assert _nearest(replica) == [1]


def test_an_entry_inserted_and_deleted_in_the_log_is_gone():
    replica = _replica()
    replica.apply([Inserted(_meta(1)), Deleted((_meta(1).id,))], 0)
    assert len(replica) == 0


def test_a_flush_forgets_what_was_before_it_only():
    replica = _replica()
    replica.insert(_meta(1), 0)
    replica.apply([Inserted(_meta(2)), Flushed(), Inserted(_meta(3))], 0)
    assert _ids(replica.select(0)) == [3]


def test_a_newer_answer_of_the_same_call_replaces_the_older_in_any_order():
    older, newer = _meta(1, exact=b"c" * 16), _meta(2, exact=b"c" * 16)
    for order in ((older, newer), (newer, older)):
        replica = _replica()
        left = [id_ for meta in order for id_ in replica.insert(meta, 0)]
        assert left == [older.id]
        assert replica.exact(b"c" * 16, 0).id == newer.id
        assert _nearest(replica) == [2]


def test_an_entry_of_the_same_id_is_replaced():
    replica = _replica()
    replica.insert(_meta(1), 0)
    replica.apply([Inserted(_meta(1, created_s=9.0, vector=_NORTH, model="other"))], 0)
    assert [entry.model for entry in replica.select(0)] == ["other"]
    assert replica.near(_HERE, _NORTH, 1, 0)[0].cosine == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    "changes",
    [
        {"embedder": "e2"},
        {"vector": None, "embedder": ""},
        {"vector": np.ones(7, np.float32)},
        {"vector": np.zeros(4, np.float32)},
        {"vector": np.full(4, np.nan, np.float32)},
    ],
)
def test_a_vector_that_cannot_be_compared_leaves_an_exact_entry(changes):
    replica = _replica()
    replica.insert(_meta(1, **changes), 0)
    assert _nearest(replica) == []
    assert replica.exact(_meta(1).exact, 0) is not None
    replica.remove([_meta(1).id])
    assert len(replica) == 0


@pytest.mark.parametrize("changes", [{"id": "zz"}, {"exact": b"short"}, {"partition": b"short"}])
def test_a_malformed_entry_in_the_log_is_passed_over(changes):
    replica = _replica()
    assert replica.apply([Inserted(_meta(1, **changes)), Inserted(_meta(2))], 0) == []
    assert _ids(replica.select(0)) == [2]


def test_an_expired_entry_never_comes_out():
    replica = _replica()
    replica.insert(_meta(1, expires_s=10.0), 0)
    replica.insert(_meta(2, expires_s=20.0, vector=_NORTH), 0)
    assert _nearest(replica, 9.9) == [1, 2]
    assert replica.exact(_meta(1).exact, 10.0) is None
    assert replica.get(_meta(1).id, 10.0) is None
    assert _ids(replica.select(10.0)) == [2]
    assert _nearest(replica, 10.0) == [2]
    assert replica.expire(10.0) == [_meta(1).id]
    assert replica.expire(30.0) == [_meta(2).id]
    assert len(replica) == 0


def test_expired_entries_do_not_hide_a_further_one():
    replica = _replica()
    for number in range(20):
        replica.insert(_meta(number, expires_s=10.0), 0)
    replica.insert(_meta(99, vector=_NORTH), 0)
    assert [_ids([match.entry]) for match in replica.near(_HERE, _EAST, 1, 11)] == [[99]]


def test_an_entry_that_came_expired_is_not_taken_in():
    replica = _replica()
    assert replica.insert(_meta(1, expires_s=5.0), 5.0) == [_meta(1).id]
    assert len(replica) == 0


def test_entries_are_selected_by_all_that_is_asked():
    replica = _replica()
    replica.insert(_meta(1, tags=("a", "b"), tenant="acme", model="m1", route="r1"), 0)
    replica.insert(_meta(2, tags=("b",), tenant="acme", model="m2", route="r2"), 0)
    replica.insert(_meta(3, tags=(), tenant="other", model="m1", route="r1"), 0)
    assert _ids(replica.select(0)) == [3, 2, 1]
    assert _ids(replica.select(0, limit=2)) == [3, 2]
    assert _ids(replica.select(0, tag="b")) == [2, 1]
    assert _ids(replica.select(0, tenant="acme", model="m1")) == [1]
    assert _ids(replica.select(0, route="r1")) == [3, 1]
    assert _ids(replica.select(0, ids=[_meta(2).id, "no id"])) == [2]
    assert replica.select(0, tag="unknown") == replica.select(0, tenant="") == []


def test_a_replica_without_entries_selects_none():
    assert _replica().select(0) == []


def test_usage_is_by_route():
    replica = _replica()
    replica.insert(_meta(1, route="r1", body_bytes=5), 0)
    replica.insert(_meta(2, route="r2", body_bytes=7), 0)
    replica.insert(_meta(3, route="r2", body_bytes=9), 0)
    assert replica.usage() == {"r1": (1, 5), "r2": (2, 16)}
    replica.remove([_meta(1).id])
    assert replica.usage() == {"r2": (2, 16)}


def test_everything_is_forgotten_on_clear():
    replica = _replica()
    replica.insert(_meta(1), 0)
    replica.clear()
    assert len(replica) == 0
    assert _nearest(replica) == []
    assert replica.expire(2_000) == []


def test_its_repr_and_its_entries_have_no_vectors():
    replica = _replica()
    replica.insert(_meta(1), 0)
    assert "array" not in repr(replica) + repr(replica.get(_meta(1).id, 0))


def test_cost_aware_eviction_comes_with_its_own_limits_per_route():
    replica = _replica(default=_MANY, small=Limits(1, 100, Policy.COST))
    replica.insert(_meta(1, route="small"), 0)
    replica.insert(_meta(2), 0)
    assert replica.insert(_meta(3, route="small"), 0) == [_meta(1).id]
    assert replica.usage() == {"small": (1, 10), "chat": (1, 10)}
