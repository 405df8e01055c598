"""What became of a node's calls, and whether it is used: counted by the client, for metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from pipeline.inference.remote.breaker import State

BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the durations that are told apart; longer ones are counted last."""


@dataclass(slots=True)
class Traffic:
    """One address of a model; counts only grow.

    Args:
        state: of its breaker.
        statuses: calls that ended, by gRPC status.
        durations: calls by duration, one number for each of `BOUNDS_S` and one for longer.
        total_s: of all calls.
        retries: texts that went to another node after this one.
    """

    state: State = "open"
    statuses: Counter[str] = field(default_factory=Counter)
    durations: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    total_s: float = 0.0
    retries: int = 0

    def ended(self, status: str, duration_s: float) -> None:
        """Note that a call ended."""
        self.statuses[status] += 1
        self.durations[bisect_left(BOUNDS_S, duration_s)] += 1
        self.total_s += duration_s


@runtime_checkable
class Remote(Protocol):
    """A source whose model is on other nodes."""

    @property
    def traffic(self) -> Mapping[str, Traffic]:
        """By address, as it is now."""
