"""The schedule of an open loop: when requests are due, drawn before the first is made."""

from __future__ import annotations

import random
from collections.abc import Sequence

_SEED = 20_261_123


def arrivals(rate_per_s: float, seconds: float, seed: int = _SEED) -> Sequence[float]:
    """Return ascending times from 0 to `seconds`, as independent callers make them (Poisson).

    As many as the rate and the time give, at uniform random places, which is what a Poisson
    process looks like once its number is known. The same seed gives every variant the same times.
    """
    draw = random.Random(seed)
    return sorted(draw.uniform(0, seconds) for _ in range(max(1, round(rate_per_s * seconds))))
