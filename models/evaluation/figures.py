"""Figures with intervals: ranking, acceptance and calibration of scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.intp]
ROUNDS = 300


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Args:
        name: dotted, stable.
        value: the figure.
        low: lower end of its 95 % interval.
        high: upper end.
        target: the least it should be; None where nothing was promised.
    """

    name: str
    value: float
    low: float
    high: float
    target: float | None = None


def auc(scores: Floats, labels: Labels) -> float:
    """Return the area under the ROC curve: how often an attack scores above a harmless text."""
    from scipy.stats import rankdata

    attacks = labels == 1
    count, others = int(attacks.sum()), int((~attacks).sum())
    if not count or not others:
        return float("nan")
    ranks = rankdata(scores)[attacks].sum()
    return float((ranks - count * (count + 1) / 2) / (count * others))


def recall_at(scores: Floats, labels: Labels, false_share: float = 0.01) -> float:
    """Return the share of attacks above the score that so many harmless texts reach."""
    limit = np.quantile(scores[labels == 0], 1 - false_share)
    return float((scores[labels == 1] > limit).mean())


def resampled(
    name: str,
    measure: Callable[[Floats, Labels], float],
    scores: Floats,
    labels: Labels,
    target: float | None = None,
) -> Figure:
    """Return a figure with its bootstrap interval, attacks and harmless texts drawn apart.

    Args:
        name: of the figure.
        measure: makes it of scores and labels.
        scores: [texts].
        labels: [texts], 0 or 1.
        target: the least it should be.
    """
    chance = np.random.default_rng(0)
    groups = [np.flatnonzero(labels == label) for label in (0, 1)]
    found = []
    for _ in range(ROUNDS):
        drawn = np.concatenate([chance.choice(group, len(group)) for group in groups])
        found.append(measure(scores[drawn], labels[drawn]))
    low, high = np.quantile(found, [0.025, 0.975])
    return Figure(name, measure(scores, labels), float(low), float(high), target)


def share(name: str, hits: NDArray[np.bool_], target: float | None = None) -> Figure:
    """Return a share with its exact (Clopper-Pearson) interval.

    Args:
        name: of the figure.
        hits: [texts].
        target: the least it should be.
    """
    from models.cache_stream.intervals import clopper_pearson

    count = int(hits.sum())
    low, high = clopper_pearson(count, len(hits))
    return Figure(name, count / max(1, len(hits)), low, high, target)
