"""The statistics of the benchmark."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure import difference, mean, percentile, ratio, slope

POSITIVE = st.floats(min_value=0.01, max_value=1000)
ROUNDS = st.lists(POSITIVE, min_size=1, max_size=30)


def test_percentiles_are_nearest_rank():
    values = [5, 1, 4, 2, 3]

    assert [percentile(values, share) for share in (0, 0.2, 0.5, 0.9, 1)] == [1, 1, 3, 5, 5]


def test_a_percentile_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least one"):
        percentile([], 0.5)


@given(ROUNDS, st.floats(0, 1))
def test_a_percentile_is_one_of_the_values_with_that_share_at_or_below(values, share):
    found = percentile(values, share)

    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


def test_the_interval_of_a_mean_is_students():
    # mean 3, standard error sqrt(2.5 / 5), t(4) = 2.776
    estimate = mean([1, 2, 3, 4, 5])

    assert estimate.value == 3
    assert estimate.high - 3 == pytest.approx(2.776 * math.sqrt(0.5))
    assert 3 - estimate.low == pytest.approx(2.776 * math.sqrt(0.5))


def test_one_round_gives_no_interval():
    assert mean([7]) == mean([7, 7, 7])


@given(ROUNDS)
def test_the_interval_holds_the_mean(values):
    estimate = mean(values)

    assert estimate.low <= estimate.value <= estimate.high


@given(st.lists(POSITIVE, min_size=2, max_size=20), st.floats(0.1, 10))
def test_what_disturbs_both_alike_does_not_widen_a_ratio(base, factor):
    estimate = ratio([value * factor for value in base], base)

    assert estimate.value == pytest.approx(factor)
    assert estimate.high - estimate.low == pytest.approx(0, abs=1e-6)


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=2, max_size=20))
def test_the_inverse_ratio_says_the_same(pairs):
    a, b = ([pair[side] for pair in pairs] for side in (0, 1))

    assert ratio(a, b).value == pytest.approx(1 / ratio(b, a).value)
    assert ratio(a, b).high == pytest.approx(1 / ratio(b, a).low)


def test_differences_are_paired_by_round():
    estimate = difference([11, 21, 31], [10, 20, 30])

    assert (estimate.low, estimate.value, estimate.high) == (1, 1, 1)


def test_rounds_that_do_not_pair_are_an_error():
    with pytest.raises(ValueError, match="shorter"):
        ratio([1, 2], [1])


@given(st.floats(-100, 100), st.floats(-1000, 1000))
def test_the_slope_of_a_straight_line_is_its_own(rise, start):
    xs = [float(x) for x in range(10)]

    estimate = slope(xs, [start + rise * x for x in xs])

    assert estimate.value == pytest.approx(rise, abs=1e-6)
    assert estimate.high - estimate.low == pytest.approx(0, abs=1e-4)


def test_the_interval_of_a_slope_is_students_where_neighbours_are_not_alike():
    # value 0.8, residuals -0.2, 1, -0.8, -0.6, 0.6 of which neighbours differ: t(3) = 3.182
    estimate = slope([1, 2, 3, 4, 5], [1, 3, 2, 3, 5])

    assert estimate.value == pytest.approx(0.8)
    assert estimate.high - 0.8 == pytest.approx(3.182 * math.sqrt(2.4 / 3 / 10))


def test_neighbours_that_are_alike_widen_the_interval_of_a_slope():
    xs = [float(x) for x in range(40)]
    apart = [(-1.0) ** x for x in range(40)]
    alike = [(-1.0) ** (x // 10) for x in range(40)]

    widths = [slope(xs, ys).high - slope(xs, ys).low for ys in (apart, alike)]

    assert widths[1] > 3 * widths[0]


@pytest.mark.parametrize("xs", [[1.0, 2.0], [3.0, 3.0, 3.0]])
def test_a_slope_needs_samples_at_different_places(xs):
    with pytest.raises(ValueError, match="three samples"):
        slope(xs, [1.0] * len(xs))
