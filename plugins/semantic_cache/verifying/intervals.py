"""Bounds of an error rate: exact for a fixed sample, and such that hold at any time."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, lgamma, log

_STEPS = 60


def clopper_pearson(wrong: int, hits: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact two-sided interval of a share; from 0 to 1 without hits.

    Args:
        wrong: of the hits.
        hits: independent ones.
        confidence: of the interval.
    """
    tail = (1 - confidence) / 2
    low = 0.0 if not wrong else _solve(lambda p: 1 - _at_most(wrong - 1, hits, p) - tail)
    return low, upper_bound(wrong, hits, 1 - tail)


def upper_bound(wrong: int, hits: int, confidence: float = 0.95) -> float:
    """Return the exact one-sided upper bound of a share (Clopper, Pearson 1934).

    Args:
        wrong: of the hits.
        hits: independent ones; without any the bound is 1.
        confidence: that the share is not above.
    """
    if wrong >= hits:
        return 1.0
    return _solve(lambda p: 1 - confidence - _at_most(wrong, hits, p))


def certified(wrong: int, hits: int, max_error: float, confidence: float) -> bool:
    """Return whether the error rate is under a budget, however often one has looked before.

    It is so where a mixture of likelihood ratios against the budget passes 1 / (1 - confidence): a
    martingale if the rate were the budget, so that Ville's inequality bounds it at all times at
    once (Robbins 1970; Howard et al. 2021, beta-binomial mixture).

    Args:
        wrong: of the hits.
        hits: labelled so far.
        max_error: the budget, 0 < max_error < 1.
        confidence: that no budget is ever certified that the rate is over.
    """
    if not hits or wrong / hits >= max_error:
        return False
    # A prior whose mean is a third of the budget: where thresholds are, when they are any good.
    a = 0.5
    b = a * (3 / max_error - 1)
    evidence = _log_beta(a + wrong, b + hits - wrong) - _log_beta(a, b)
    evidence -= wrong * log(max_error) + (hits - wrong) * log(1 - max_error)
    return evidence >= -log(1 - confidence)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _at_most(most: int, trials: int, share: float) -> float:
    """Return the chance of at most so many events, by its sum."""
    if share <= 0:
        return 1.0
    if share >= 1:
        return 1.0 if most >= trials else 0.0
    term = trials * log(1 - share)
    odds = log(share) - log(1 - share)
    total = exp(term)
    for count in range(1, most + 1):
        term += log(trials - count + 1) - log(count) + odds
        total += exp(term)
    return min(total, 1.0)


def _solve(rising: Callable[[float], float]) -> float:
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return high
