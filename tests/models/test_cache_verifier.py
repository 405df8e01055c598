from __future__ import annotations

import numpy as np
import pytest

from models.cache_stream.streams import Stream
from models.cache_verifier.judging import area, realised
from models.cache_verifier.lookups import candidates, outcome, replay
from models.cache_verifier.made import made_pairs
from models.cache_verifier.scoring import Comparing, Readings
from models.cache_verifier.sources import changed_number
from models.cache_verifier.training import table_bytes
from plugins.semantic_cache.verifying.features import NAMES
from plugins.semantic_cache.verifying.table import WordTable


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def found():
    # b is near a, and c near both; d is far from all.
    vectors = unit([[1, 0], [1, 0.1], [1, 0.2], [0, 1]])
    return candidates(Stream(("a", "b", "c", "d"), np.array([0, 0, 1, 2])), vectors)


def test_candidates_are_what_came_before_nearest_first():
    near = found()

    assert near.nearest == ((), (0,), (1, 0), (2, 1, 0))
    assert [pair[:2] for pair in near.pairs()][:3] == [("b", "a"), ("c", "b"), ("c", "a")]
    assert all(list(row) == sorted(row, reverse=True) for row in near.cosines)


def test_the_best_stored_one_answers_and_a_hit_is_not_stored():
    # Of c, b was a hit and is not stored; a is.
    chances = np.array([0.99, 0.999, 0.97, 0, 0, 0])

    assert replay(found(), chances, 0.95) == [(0.99, True), (0.97, False)]
    assert outcome(found(), chances, 0.98).hits == 1
    assert outcome(found(), chances, 0.9999).hits == 0


def test_a_changed_number_is_another_number():
    generator = np.random.default_rng(0)
    for _ in range(50):
        assert changed_number("12 eggs at 3 dollars", generator) != "12 eggs at 3 dollars"
    assert changed_number("no eggs", generator) is None


def test_made_pairs_come_out_the_same_every_time_and_differ():
    pairs = made_pairs(20)

    assert pairs == made_pairs(20)
    assert all(pair.asked != pair.stored for pair in pairs)
    assert {pair.serves for pair in pairs if pair.kind == "voice"} == {True, False}
    assert not any(pair.serves for pair in pairs if pair.kind in {"number", "role", "negation"})


def test_the_area_is_the_chance_that_a_true_pair_scores_higher():
    pytest.importorskip("scipy")
    serves = np.array([True, True, False, False])

    assert area(np.array([4.0, 3, 2, 1]), serves) == 1
    assert area(np.array([1.0, 1, 1, 1]), serves) == 0.5


def test_a_bound_that_is_told_of_every_wrong_hit_serves_few_of_them():
    labelled = [(0.99, at % 3 > 0) for at in range(300)]

    assert realised(labelled, 0.01, 0.9, shadow=1.0, seed=0).wrong == 1


def test_a_shipped_table_keeps_its_words_and_nearly_their_vectors():
    rows = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    rows[-1] = 0
    table = WordTable({"a": 0, "b": 1, "a b": 2}, rows, np.arange(4, dtype=np.float32))
    kept = table_bytes(table)
    again = kept["rows"].astype(np.float32) * kept["scales"][:, None]

    assert bytes(kept["names"]).decode().split("\n") == ["a", "b", "a b"]
    assert np.abs(again - rows).max() < 0.02
    assert not again[-1].any()


def test_features_of_many_pairs_are_those_of_each():
    table = WordTable({"cat": 0}, np.array([[1, 0], [0, 0]], np.float32), np.ones(2, np.float32))
    comparing = Comparing(table, Readings())
    pairs = [("a cat", "the cat", 0.9), ("cats", "dogs", 0.1)]

    assert comparing.features(pairs).shape == (2, len(NAMES))
    assert (comparing.features(pairs)[1] == comparing.features(pairs[1:])[0]).all()
    assert comparing.features([]).shape == (0, len(NAMES))


def test_exported_trees_score_as_scikit_learn_does():
    pytest.importorskip("sklearn")
    from sklearn.ensemble import HistGradientBoostingClassifier

    from models.cache_verifier.boosting import as_arrays, scores

    generator = np.random.default_rng(0)
    rows = generator.normal(size=(600, 5)).astype(np.float32)
    labels = rows[:, 0] * rows[:, 1] > 0
    model = HistGradientBoostingClassifier(max_iter=10, max_depth=4, random_state=0)
    model.fit(rows, labels)
    nodes = [made[0].nodes for made in model._predictors]
    trees = as_arrays(nodes, float(np.ravel(model._baseline_prediction)[0]))
    expected = model.decision_function(rows)

    assert scores(trees, rows) == pytest.approx(expected, abs=1e-5)
    assert [trees.score(row) for row in rows[:20]] == pytest.approx(expected[:20], abs=1e-5)
