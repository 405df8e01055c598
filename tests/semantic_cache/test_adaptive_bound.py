from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.semantic_cache.verifying import AdaptiveBound
from plugins.semantic_cache.verifying.intervals import certified, clopper_pearson, upper_bound

OUTCOMES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60)


def stream(length, error, seed):
    """Lookups that are wrong the more often the less probable, `error` of them at .95 and up."""
    draw = random.Random(seed)
    found = []
    for _ in range(length):
        probability = draw.uniform(0.9, 1)
        found.append((probability, draw.random() >= 40 * error * (1 - probability)))
    return found


def realised(lookups, bound, share, seed):
    draw = random.Random(seed)
    hits = wrong = 0
    for probability, correct in lookups:
        served = probability >= bound.threshold
        if served:
            hits += 1
            wrong += not correct
        if not served or draw.random() < share:
            bound.observe(probability, correct)
    return hits, wrong


def test_without_labels_the_calibrated_threshold_holds():
    assert AdaptiveBound(0.01, 0.97).threshold == 0.97
    assert AdaptiveBound(0.01, 1.01).threshold > 1


def test_the_first_wrong_answer_moves_the_threshold_above_it_at_once():
    bound = AdaptiveBound(0.01, 0.9)
    bound.observe(0.95, correct=False)

    assert 0.95 < bound.threshold < 0.951


def test_a_wrong_answer_below_the_threshold_moves_nothing():
    bound = AdaptiveBound(0.01, 0.97)
    bound.observe(0.5, correct=False)

    assert bound.threshold == 0.97


def test_one_wrong_answer_among_very_many_right_ones_is_within_the_budget():
    bound = AdaptiveBound(0.01, 0.9)
    for _ in range(2000):
        bound.observe(0.95, correct=True)
    bound.observe(0.95, correct=False)

    assert bound.threshold == 0.9


def test_right_answers_bring_a_raised_threshold_back():
    bound = AdaptiveBound(0.01, 0.9)
    bound.observe(0.95, correct=False)
    raised = bound.threshold
    for _ in range(1000):
        bound.observe(0.99, correct=True)

    assert raised > 0.95
    assert bound.threshold == 0.9


def test_near_misses_that_would_have_served_loosen_the_threshold_only_when_certified():
    bound = AdaptiveBound(0.01, 0.97)
    for _ in range(100):
        bound.observe(0.9, correct=True)
    after_few = bound.threshold
    for _ in range(500):
        bound.observe(0.9, correct=True)

    assert after_few == 0.97
    assert bound.threshold < 0.9


def test_nothing_is_loosened_by_labels_that_are_often_wrong():
    bound = AdaptiveBound(0.01, 0.97)
    for at in range(3000):
        bound.observe(0.9, correct=at % 20 != 0)

    assert bound.threshold == 0.97


@pytest.mark.parametrize("error", [0.0, 0.004, 0.01])
def test_the_realised_error_keeps_the_budget_in_at_least_95_of_100_orders(error):
    lookups = stream(1000, error, seed=1)
    within = 0
    for order in range(100):
        random.Random(order).shuffle(lookups)
        hits, wrong = realised(lookups, AdaptiveBound(0.02, 0.95), share=0.5, seed=order)
        within += wrong <= 0.02 * hits

    assert within >= 95


def test_a_scorer_that_is_sure_and_wrong_is_stopped_after_a_few_answers():
    for seed in range(10):
        draw = random.Random(seed)
        lookups = [(draw.uniform(0.93, 1), draw.random() >= 0.2) for _ in range(1000)]
        hits, wrong = realised(lookups, AdaptiveBound(0.02, 0.93), 0.5, seed)

        assert wrong < 25
        assert hits < 150


@given(OUTCOMES)
def test_a_bound_survives_being_written_down(outcomes):
    bound = AdaptiveBound(0.02, 0.9)
    for probability, correct in outcomes:
        bound.observe(probability, correct)
    again = AdaptiveBound.from_json(json.loads(json.dumps(bound.to_json())), 0.02, 0.9)

    assert again.threshold == bound.threshold
    assert (again.labels, again.wrong) == (bound.labels, bound.wrong)


@given(OUTCOMES, st.floats(0, 1))
def test_bad_feedback_never_loosens_and_good_never_tightens(outcomes, probability):
    bound = AdaptiveBound(0.02, 0.9)
    for one, correct in outcomes:
        bound.observe(one, correct)
    said = bound.to_json()
    good, bad = (AdaptiveBound.from_json(said, 0.02, 0.9) for _ in range(2))
    good.observe(probability, correct=True)
    bad.observe(probability, correct=False)

    assert good.threshold <= bound.threshold <= bad.threshold


@pytest.mark.parametrize(
    "said", [{}, {"good": []}, {"good": {"x": 1}, "bad": {}}, {"bad": {"1": 2}}]
)
def test_a_state_that_is_none_is_refused(said):
    with pytest.raises(ValueError, match="no labels"):
        AdaptiveBound.from_json(said, 0.01, 0.9)


def test_the_state_stays_small_however_many_labels_there_were():
    bound = AdaptiveBound(0.01, 0.9)
    draw = random.Random(0)
    for _ in range(5000):
        bound.observe(draw.random(), draw.random() < 0.9)

    assert len(json.dumps(bound.to_json())) < 4096


def test_looking_after_every_label_certifies_a_rate_over_the_budget_rarely():
    wrongly = 0
    for seed in range(200):
        draw = random.Random(seed)
        wrong = 0
        for hits in range(1, 1500):
            wrong += draw.random() < 0.05
            if certified(wrong, hits, 0.05, 0.95):
                wrongly += 1
                break

    assert wrongly <= 20


@pytest.mark.parametrize(("wrong", "hits"), [(0, 300), (3, 300), (40, 4000), (1, 7), (300, 300)])
def test_intervals_are_those_of_the_exact_binomial_test_here_too(wrong, hits):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(wrong, hits).proportion_ci(0.95, "exact")

    assert clopper_pearson(wrong, hits) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert upper_bound(wrong, hits, 0.975) == pytest.approx(expected.high, abs=1e-9)
