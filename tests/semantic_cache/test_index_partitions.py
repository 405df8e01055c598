from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from plugins.semantic_cache import growth
from plugins.semantic_cache.inverted_lists import InvertedLists
from plugins.semantic_cache.partitions import SMALL, PartitionedIndex

_DIMENSION = 16
_PARTITIONS = [bytes([number]) * 16 for number in range(6)]
_LARGE = b"L" * 16


def _unit(rng: np.random.Generator, count: int, dimension: int = _DIMENSION) -> np.ndarray:
    vectors = rng.standard_normal((count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _settle(index: PartitionedIndex) -> int:
    steps = 0
    while (work := index.maintain()) is not None:
        work()
        steps += 1
    return steps


def _filled(count: int, partition: bytes = _LARGE) -> tuple[PartitionedIndex, np.ndarray]:
    vectors = _unit(np.random.default_rng(1), count)
    index = PartitionedIndex(_DIMENSION)
    for key, vector in enumerate(vectors):
        index.add(key, partition, vector)
    return index, vectors


class IndexAgainstExactSearch(RuleBasedStateMachine):
    """Random additions, removals and steps of growth; partitions pass every size and back."""

    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(7)
        self.index = PartitionedIndex(_DIMENSION)
        self.known: dict[int, tuple[bytes, np.ndarray]] = {}
        self.free = list(range(3_000))
        self.work = None

    @rule(partition=st.sampled_from(_PARTITIONS), count=st.sampled_from([1, 3, 80]))
    def add(self, partition, count):
        for vector in _unit(self.rng, min(count, len(self.free))):
            key = self.free.pop()
            self.index.add(key, partition, vector)
            self.known[key] = (partition, vector)

    @rule(share=st.sampled_from([0.02, 0.3, 1.0]), seed=st.integers(0, 99))
    def remove(self, share, seed):
        chosen = random.Random(seed).sample(sorted(self.known), int(share * len(self.known)))
        for key in chosen:
            self.index.remove(key)
            del self.known[key]
            self.free.append(key)

    @rule(do_work=st.booleans())
    def take_a_step(self, do_work):
        if self.work is not None and do_work:
            self.work()
        self.work = self.index.maintain()

    @rule()
    def settle(self):
        _settle(self.index)

    @rule(partition=st.sampled_from(_PARTITIONS))
    def search(self, partition):
        (query,) = _unit(self.rng, 1)
        exact = sorted(
            (float(vector @ query) for owner, vector in self.known.values() if owner == partition),
            reverse=True,
        )
        found = self.index.search(partition, query, 5)
        assert len(found) == min(5, len(exact))
        assert len({each.key for each in found}) == len(found)
        for each in found:
            owner, vector = self.known[each.key]
            assert owner == partition
            assert each.cosine == pytest.approx(float(vector @ query), abs=0.03)
        assert [each.cosine for each in found] == pytest.approx(exact[:5], abs=0.03)

    @invariant()
    def it_counts(self):
        assert len(self.index) == len(self.known)


TestIndexAgainstExactSearch = IndexAgainstExactSearch.TestCase
TestIndexAgainstExactSearch.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None
)


def test_an_unknown_partition_has_no_neighbours():
    index, vectors = _filled(3)
    assert index.search(b"x" * 16, vectors[0], 3) == []


def test_removing_an_unknown_key_is_no_error():
    index, _ = _filled(3)
    index.remove(99)
    index.remove(-1)
    assert len(index) == 3


def test_every_vector_is_found_at_each_step_of_growth():
    index, vectors = _filled(1_500)
    steps = 0
    while (work := index.maintain()) is not None:
        work()
        for key in range(steps % 97, 1_500, 97):
            assert index.search(_LARGE, vectors[key], 1)[0].key == key
        steps += 1
    assert steps > 1_500 / 64


def test_a_vector_removed_while_it_moves_stays_away():
    index, vectors = _filled(400)
    index.maintain()()
    moving = index.maintain()
    moving()
    for key in range(400):
        index.remove(key)
    _settle(index)
    assert index.search(_LARGE, vectors[0], 5) == []
    assert len(index) == 0


def test_a_key_used_again_while_its_vector_moves_is_the_new_one():
    index, vectors = _filled(400)
    index.maintain()()
    index.maintain()()
    other = b"o" * 16
    index.remove(399)
    index.add(399, other, vectors[0])
    _settle(index)
    assert [each.key for each in index.search(other, vectors[0], 5)] == [399]
    assert 399 not in {each.key for each in index.search(_LARGE, vectors[399], 400)}


def _draining() -> tuple[PartitionedIndex, np.ndarray]:
    """Return an index of one list that has begun to move to many."""
    vectors = _unit(np.random.default_rng(1), 1_100)
    index = PartitionedIndex(_DIMENSION)
    for key, vector in enumerate(vectors):
        index.add(key, _LARGE, vector)
        if key == 300:
            _settle(index)
    while index.large(_LARGE).draining is None:
        index.maintain()()
    return index, vectors


def test_every_vector_is_found_at_each_step_from_few_lists_to_many():
    index, vectors = _draining()
    steps = 0
    while (work := index.maintain()) is not None:
        for key in range(steps % 53, 1_100, 53):
            assert index.search(_LARGE, vectors[key], 1)[0].key == key
        work()
        steps += 1
    assert steps > 10
    assert index.large(_LARGE).current.lists == 64
    assert index.large(_LARGE).draining is None


def test_a_key_used_again_while_lists_drain_is_the_new_vector():
    index, vectors = _draining()
    keys, _ = index.large(_LARGE).draining.tail(0, 64)
    fresh = _unit(np.random.default_rng(9), len(keys))
    for key, vector in zip(keys, fresh, strict=True):
        index.remove(key)
        index.add(key, _LARGE, vector)
    _settle(index)
    for key, vector in zip(keys, fresh, strict=True):
        found = index.search(_LARGE, vector, 1)[0]
        assert found.key == key
        assert found.cosine == pytest.approx(1, abs=0.03)
    assert len(index) == len(vectors)


def test_work_that_failed_is_tried_again(monkeypatch):
    index, vectors = _filled(200)
    work = index.maintain()
    with monkeypatch.context() as patched:
        patched.setattr(InvertedLists, "trained", _out_of_memory)
        with pytest.raises(MemoryError):
            work()
    _settle(index)
    assert index.large(_LARGE).current.count == 200
    assert index.search(_LARGE, vectors[7], 1)[0].key == 7


def _out_of_memory(*_):
    raise MemoryError


def test_a_small_partition_needs_no_lists():
    index, _ = _filled(SMALL)
    assert index.maintain() is None
    assert index.large(_LARGE) is None


def test_an_emptied_partition_has_no_lists():
    index, _ = _filled(300)
    _settle(index)
    assert index.large(_LARGE) is not None
    for key in range(300):
        index.remove(key)
    _settle(index)
    assert index.large(_LARGE) is None


def test_lists_follow_what_the_partition_has_become(monkeypatch):
    monkeypatch.setattr(growth, "_TURNOVERS", 1)
    index, _ = _filled(1_200)
    _settle(index)
    before = index.large(_LARGE).current
    for key, vector in enumerate(_unit(np.random.default_rng(2), 1_200)):
        index.remove(key)
        index.add(key, _LARGE, vector)
    _settle(index)
    assert index.large(_LARGE).current is not before


def test_a_large_partition_is_searched_as_well_as_exactly():
    """2,000 paraphrases around 100 meanings; questions are noisy copies of stored ones."""
    rng = np.random.default_rng(3)
    centres = _unit(rng, 100, 64)
    vectors = centres[rng.integers(0, 100, 2_000)] + 0.5 * _unit(rng, 2_000, 64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = PartitionedIndex(64)
    for key, vector in enumerate(vectors):
        index.add(key, _LARGE, vector)
    _settle(index)
    assert index.large(_LARGE).current.lists > 1
    chosen = rng.integers(0, 2_000, 200)
    asked = vectors[chosen] + 0.5 * _unit(rng, 200, 64)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    nearest = (asked @ vectors.T).argmax(axis=1)
    found = [index.search(_LARGE, query, 1)[0].key for query in asked]
    assert np.mean(nearest == found) >= 0.98


def test_cosines_do_not_shift_as_a_partition_grows():
    rng = np.random.default_rng(6)
    vectors = _unit(rng, 5_000, 64)
    index = PartitionedIndex(64)
    for key, vector in enumerate(vectors):
        index.add(key, _LARGE, vector)
        if key % 500 == 0:
            _settle(index)
    _settle(index)
    found = [index.search(_LARGE, vector, 1)[0].cosine for vector in vectors[:500]]
    assert abs(np.mean(found) - 1) < 0.0005
    assert np.std(found) < 0.003


def test_an_embedder_with_one_large_component_is_searched_as_well():
    rng = np.random.default_rng(4)
    vectors = _unit(rng, 300)
    vectors[:, 0] = 3
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = PartitionedIndex(_DIMENSION)
    for key, vector in enumerate(vectors):
        index.add(key, _LARGE, vector)
    small = [index.search(_LARGE, vector, 1)[0] for vector in vectors]
    _settle(index)
    large = [index.search(_LARGE, vector, 1)[0] for vector in vectors]
    for found in (small, large):
        assert [each.cosine for each in found] == pytest.approx([1.0] * 300, abs=0.02)
        assert np.mean([each.key == key for key, each in enumerate(found)]) >= 0.95
