"""What a router is worth: quality recovered over the share of calls sent to the strong model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """Quality as more calls go to the strong model.

    Args:
        shares: of calls that go there, from 0 to 1.
        quality: mean quality of the answers at each share.
    """

    shares: Floats
    quality: Floats

    @property
    def recovered(self) -> Floats:
        """The performance gap recovered: 0 is the weak model's quality, 1 the strong one's."""
        gap = self.quality[-1] - self.quality[0]
        return np.asarray((self.quality - self.quality[0]) / gap)

    @property
    def apgr(self) -> float:
        """The area under `recovered`; 0.5 for a router that tosses coins."""
        return float(np.trapezoid(self.recovered, self.shares))

    def cpt(self, recovered: float) -> float:
        """Return the least share of calls that recovers so much of the gap."""
        return float(self.shares[np.argmax(self.recovered >= recovered - 1e-12)])

    def share_for(self, of_strong: float) -> float:
        """Return the least share of calls with so much of the strong model's quality."""
        return float(self.shares[np.argmax(self.quality >= of_strong * self.quality[-1] - 1e-12)])


def curve(suffices: Floats, weak: Floats, strong: Floats) -> Curve:
    """Return the curve of a router; calls that it scores alike go in a random order's mean.

    Args:
        suffices: the router's score by call; the lowest go to the strong model first.
        weak: quality of the weak model's answers.
        strong: of the strong one's.
    """
    gains = strong - weak
    _, group = np.unique(suffices, return_inverse=True)
    sizes = np.bincount(group)
    # Within a tie every order is as likely: each call of it gains the tie's mean.
    mean_gain = np.bincount(group, gains) / sizes
    order = np.argsort(suffices, kind="stable")
    steps = mean_gain[group[order]]
    quality = np.concatenate([[weak.sum()], weak.sum() + np.cumsum(steps)]) / len(weak)
    return Curve(np.linspace(0, 1, len(weak) + 1), quality)


def oracle(weak: Floats, strong: Floats) -> Floats:
    """Return the scores of a router that knows both answers: the largest gain goes first."""
    return weak - strong


def expected_calibration_error(probability: Floats, outcome: Floats, bins: int = 15) -> float:
    """Return the mean gap between probability and outcome, over bins of as many calls each."""
    order = np.argsort(probability, kind="stable")
    groups = np.array_split(order, bins)
    gaps = [abs(probability[at].mean() - outcome[at].mean()) * len(at) for at in groups if len(at)]
    return float(sum(gaps) / len(probability))


def bootstrap(
    suffices: Floats, weak: Floats, strong: Floats, seed: int, rounds: int = 400
) -> tuple[float, float]:
    """Return the 95 % interval of APGR over resampled calls."""
    generator = np.random.default_rng(seed)
    areas = np.empty(rounds)
    for at in range(rounds):
        chosen = generator.integers(len(weak), size=len(weak))
        areas[at] = curve(suffices[chosen], weak[chosen], strong[chosen]).apgr
    low, high = np.percentile(areas, [2.5, 97.5])
    return float(low), float(high)
