"""Statistics of a benchmark: percentiles, means, ratios, differences over rounds, and slopes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, stdev

# Student's t, two-sided 95 %, for 1, 2, … degrees of freedom; beyond the table the last one stands,
# which errs towards wider intervals.
_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over rounds with its 95 % interval.

    Args:
        value: the mean.
        low: lower end; equal to `value` when one round cannot tell.
        high: upper end.
    """

    value: float
    low: float
    high: float

    def map(self, function: Callable[[float], float]) -> Estimate:
        """Return the estimate of a monotonic function of what was estimated."""
        return Estimate(function(self.value), function(self.low), function(self.high))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile of unsorted values, `share` from 0 to 1.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("a percentile needs at least one value")
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def mean(rounds: Sequence[float]) -> Estimate:
    """Return the mean of one figure over rounds, with Student's interval."""
    middle = fmean(rounds)
    if len(rounds) == 1:
        return Estimate(middle, middle, middle)
    half = _t95(len(rounds) - 1) * stdev(rounds) / math.sqrt(len(rounds))
    return Estimate(middle, middle - half, middle + half)


def ratio(rounds: Sequence[float], base: Sequence[float]) -> Estimate:
    """Return the geometric mean of each round's ratio to the same round of the base.

    Pairing by round cancels what disturbs neighbours alike; logarithms make a ratio and its
    inverse say the same.
    """
    logs = [math.log(a / b) for a, b in zip(rounds, base, strict=True)]
    return mean(logs).map(math.exp)


def difference(rounds: Sequence[float], base: Sequence[float]) -> Estimate:
    """Return the mean of each round's difference to the same round of the base."""
    return mean([a - b for a, b in zip(rounds, base, strict=True)])


def slope(xs: Sequence[float], ys: Sequence[float]) -> Estimate:
    """Return the least-squares slope of `ys` over `xs`, with Student's interval.

    Neighbouring samples of a process' memory are alike and so say less than as many independent
    ones: the interval counts n (1 - r) / (1 + r) of them, r being the residuals' correlation with
    their neighbours (Santer et al., J. Geophys. Res. 105, 2000, 7337).

    Raises:
        ValueError: fewer than three samples, or all at one place.
    """
    count = len(xs)
    middle_x, middle_y = fmean(xs), fmean(ys)
    spread = sum((x - middle_x) ** 2 for x in xs)
    if count < 3 or spread == 0:
        raise ValueError("a slope needs three samples at different places")
    rise = sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True))
    value = rise / spread
    residuals = [y - middle_y - value * (x - middle_x) for x, y in zip(xs, ys, strict=True)]
    squares = sum(r * r for r in residuals)
    if squares == 0:
        return Estimate(value, value, value)
    alike = sum(a * b for a, b in pairwise(residuals)) / squares
    alike = min(max(alike, 0.0), 0.99)
    freedom = max(1.0, count * (1 - alike) / (1 + alike) - 2)
    half = _t95(int(freedom)) * math.sqrt(squares / freedom / spread)
    return Estimate(value, value - half, value + half)


def _t95(freedom: int) -> float:
    return _T95[min(freedom, len(_T95)) - 1]
