from __future__ import annotations

from plugins.semantic_cache.eviction import Limits, Policy
from plugins.semantic_cache.records import Deleted, Inserted, Meta
from plugins.semantic_cache.replica import Replica

_LARGE = 1_000_000


def _replica(limits: Limits) -> Replica:
    return Replica(dimension=4, embedder="e1", limits={}, default=limits)


def _meta(number: int, body_bytes: int = 10, saves_usd: float = 0.01, saves_s: float = 0.0) -> Meta:
    return Meta(
        id=f"{number:016x}",
        partition=bytes(16),
        exact=number.to_bytes(16, "big"),
        route="chat",
        tenant="",
        model="gpt-5",
        tags=(),
        vector=None,
        embedder="",
        created_s=float(number),
        fresh_s=500.0,
        expires_s=1_000.0,
        body_bytes=body_bytes,
        saves_s=saves_s,
        saves_usd=saves_usd,
    )


def _insert(replica: Replica, *metas: Meta) -> list[int]:
    return [int(id_, 16) for meta in metas for id_ in replica.insert(meta, 0)]


def test_lru_lets_go_what_was_not_served_for_longest():
    replica = _replica(Limits(3, _LARGE))
    _insert(replica, _meta(1), _meta(2), _meta(3))
    replica.touch(_meta(1).id, 0)
    assert _insert(replica, _meta(4), _meta(5)) == [2, 3]
    assert replica.get(_meta(1).id, 0).hits == 1


def test_bytes_are_limited_as_entries_are():
    replica = _replica(Limits(100, 100))
    _insert(replica, _meta(1, 40), _meta(2, 40))
    assert _insert(replica, _meta(3, 90)) == [1, 2]
    assert replica.usage() == {"chat": (1, 90)}


def test_an_entry_larger_than_its_route_is_not_taken_and_nothing_leaves_for_it():
    replica = _replica(Limits(100, 100))
    _insert(replica, _meta(1, 40))
    assert _insert(replica, _meta(2, 101)) == [2]
    assert replica.usage() == {"chat": (1, 40)}


def test_cost_keeps_what_saves_most():
    replica = _replica(Limits(3, _LARGE, Policy.COST))
    _insert(replica, _meta(1, saves_usd=0.05), _meta(2, saves_usd=0.001), _meta(3, saves_usd=0.02))
    assert _insert(replica, _meta(4, saves_usd=0.03), _meta(5, saves_usd=0.04)) == [2, 3]


def test_cost_lets_go_the_larger_of_two_that_save_the_same():
    replica = _replica(Limits(2, _LARGE, Policy.COST))
    _insert(replica, _meta(1, body_bytes=10), _meta(2, body_bytes=9_000))
    assert _insert(replica, _meta(3)) == [2]


def test_cost_counts_waiting_where_there_is_no_price():
    replica = _replica(Limits(2, _LARGE, Policy.COST))
    _insert(replica, _meta(1, saves_usd=0, saves_s=1), _meta(2, saves_usd=0, saves_s=9))
    assert _insert(replica, _meta(3, saves_usd=0, saves_s=5)) == [1]


def test_cost_keeps_what_is_served_often():
    replica = _replica(Limits(2, _LARGE, Policy.COST))
    _insert(replica, _meta(1, saves_usd=0.01), _meta(2, saves_usd=0.02))
    for _ in range(3):
        replica.touch(_meta(1).id, 0)
    assert _insert(replica, _meta(3, saves_usd=0.03)) == [2]


def test_cost_forgets_what_was_dear_but_is_no_longer_asked_for():
    """Each eviction raises what newcomers begin with, until the idle one is the least."""
    replica = _replica(Limits(2, _LARGE, Policy.COST))
    _insert(replica, _meta(1, saves_usd=0.1))
    left = _insert(replica, *(_meta(number, saves_usd=0.01) for number in range(2, 30)))
    assert 1 in left


def test_evicted_entries_do_not_come_back_from_the_log():
    replica = _replica(Limits(1, _LARGE))
    assert _insert(replica, _meta(1), _meta(2)) == [1]
    assert replica.apply([Inserted(_meta(1)), Inserted(_meta(2))], 0) == []
    assert [entry.id for entry in replica.select(0)] == [_meta(2).id]


def test_room_that_another_process_made_is_used():
    replica = _replica(Limits(2, _LARGE))
    _insert(replica, _meta(1), _meta(2))
    assert replica.apply([Inserted(_meta(3)), Deleted((_meta(2).id,))], 0) == []
    assert [entry.id for entry in replica.select(0)] == [_meta(3).id, _meta(1).id]
