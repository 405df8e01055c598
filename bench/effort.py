"""How long the benchmark measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure.

    Args:
        rounds: turns over all variants.
        seconds: of load in one turn of a scenario, before the last answers.
        sizes: names of the body sizes of the ladder.
        size_rounds: turns over all variants with each body size.
        size_seconds: of load in one of those turns.
        open_seconds: of load in one turn of an open loop.
        events: of one streamed answer.
        restart_requests: made while two hosts are restarted.
        starts: processes started to time a start.
    """

    rounds: int
    seconds: float
    sizes: Sequence[str]
    size_rounds: int
    size_seconds: float
    open_seconds: float
    events: int
    restart_requests: int
    starts: int


FULL = Effort(
    rounds=6,
    seconds=1.5,
    sizes=("6kb", "60kb", "600kb", "6mb"),
    size_rounds=6,
    size_seconds=0.8,
    open_seconds=5,
    events=200,
    restart_requests=5_000,
    starts=10,
)
QUICK = Effort(
    rounds=2,
    seconds=0.4,
    sizes=("6kb", "6mb"),
    size_rounds=2,
    size_seconds=0.1,
    open_seconds=1,
    events=60,
    restart_requests=500,
    starts=5,
)
