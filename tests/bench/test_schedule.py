"""When an open loop's requests are due."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.schedule import arrivals


@given(st.floats(1, 500), st.floats(0.1, 5), st.integers(0, 99))
def test_as_many_are_due_as_rate_and_time_give_in_order_and_in_time(rate_per_s, seconds, seed):
    due_s = arrivals(rate_per_s, seconds, seed)

    assert len(due_s) == max(1, round(rate_per_s * seconds))
    assert list(due_s) == sorted(due_s)
    assert due_s[0] >= 0
    assert due_s[-1] <= seconds


def test_every_variant_gets_the_same_times():
    assert arrivals(200, 5) == arrivals(200, 5)
    assert arrivals(200, 5) != arrivals(200, 5, seed=1)


def test_gaps_are_spread_as_those_of_independent_callers():
    due_s = arrivals(100, 100)
    gaps_s = [b - a for a, b in pairwise(due_s)]

    # An exponential distribution's mean is its standard deviation, and 1/e lie above it.
    assert sum(gap > 0.01 for gap in gaps_s) / len(gaps_s) == pytest.approx(0.3679, abs=0.02)
