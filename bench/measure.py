"""Statistics of a benchmark: percentiles, and means, ratios, differences over rounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    t = _T95[min(len(rounds) - 1, len(_T95)) - 1]
    half = t * stdev(rounds) / math.sqrt(len(rounds))
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
