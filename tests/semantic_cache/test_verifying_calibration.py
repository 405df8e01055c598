from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.semantic_cache.verifying import LabelledPair, calibrate
from plugins.semantic_cache.verifying.calibration import (
    UNSUPPORTED,
    Calibration,
    Point,
    between,
    curve,
    lowest_within,
)


class ByCosine:
    """A verifier that believes the cosine."""

    def probability(self, asked, stored, cosine):
        return cosine

    def disagreements(self, asked, stored):
        return ()

    def threshold(self, max_error):
        return 1 - max_error


def calibrated_lookups(count, seed):
    draw = random.Random(seed)
    for _ in range(count):
        probability = draw.random()
        yield probability, draw.random() < probability


SCORED = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=200)


@given(SCORED)
def test_a_curve_ends_with_all_lookups_and_never_loses_hits(scored):
    points = curve(scored)

    if scored:
        assert points[-1].hits == len(scored)
        assert points[-1].wrong == sum(not serves for _, serves in scored)
    hits = [point.hits for point in points]
    assert hits == sorted(set(hits))


@given(SCORED)
def test_each_point_counts_what_its_threshold_serves(scored):
    for point in curve(scored):
        served = [serves for probability, serves in scored if probability >= point.threshold]
        assert (point.hits, point.wrong) == (len(served), served.count(False))


@pytest.mark.parametrize("budget", [0.02, 0.05, 0.1])
def test_a_chosen_threshold_keeps_its_budget_on_other_lookups(budget):
    kept = 0
    for seed in range(40):
        threshold = lowest_within(curve(list(calibrated_lookups(3000, seed))), budget, 0.95)
        others = [one for one in calibrated_lookups(3000, 1000 + seed) if one[0] >= threshold]
        # The rate itself: what is served is wrong as often as its probability says.
        expected = sum(1 - probability for probability, _ in others)
        kept += expected <= budget * max(len(others), 1)

    assert kept >= 38


def test_few_pairs_support_no_small_budget():
    pairs = [LabelledPair("a", "b", 0.99, serves=True) for _ in range(100)]

    assert calibrate(ByCosine(), pairs).threshold(0.01) == UNSUPPORTED
    assert calibrate(ByCosine(), []).threshold(0.01) == UNSUPPORTED


def test_an_operators_own_pairs_give_a_threshold_and_its_curve():
    pairs = [LabelledPair("a", "b", 0.99, serves=True) for _ in range(1000)]
    pairs += [LabelledPair("a", "b", 0.6, serves=at % 2 == 0) for at in range(1000)]
    found = calibrate(ByCosine(), pairs)

    assert found.threshold(0.01) == 0.99
    strict = next(point for point in found.points if point.threshold == 0.99)
    assert (strict.hits, strict.hit_rate, strict.error) == (1000, 0.5, 0)
    assert strict.interval()[1] < 0.01


def test_more_confidence_never_loosens():
    points = curve(list(calibrated_lookups(3000, 5)))
    thresholds = [Calibration(points, level).threshold(0.05) for level in (0.5, 0.9, 0.99)]

    assert thresholds == sorted(thresholds)


def test_thresholds_between_budgets_rise_with_strictness():
    table = ((0.005, 0.99), (0.01, 0.98), (0.05, 0.9))
    found = [between(table, budget) for budget in (0.005, 0.007, 0.01, 0.03, 0.05, 0.5)]

    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(0.99)
    assert found[2] == pytest.approx(0.98)
    assert found[-1] == 0.9
    assert between(table, 0.001) == UNSUPPORTED


def test_a_budget_between_an_unsupported_and_a_supported_one_has_no_threshold():
    assert between(((0.005, UNSUPPORTED), (0.01, 0.98)), 0.007) > 1


def test_a_point_without_hits_has_the_widest_interval():
    assert Point(0.9, 10, 0, 0).interval() == (0.0, 1.0)
    assert Point(0.9, 10, 0, 0).error == 0
