"""Intervals of shares."""

from __future__ import annotations


def clopper_pearson(events: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a share; from 0 to 1 without trials.

    Clopper, Pearson 1934: quantiles of two beta distributions.

    Args:
        events: of the trials.
        trials: independent ones.
        confidence: of the interval.
    """
    from scipy.stats import beta

    if not trials:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = beta.ppf(tail, events, trials - events + 1) if events else 0.0
    high = beta.ppf(1 - tail, events + 1, trials - events) if events < trials else 1.0
    return float(low), float(high)
