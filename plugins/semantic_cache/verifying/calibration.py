"""Calibration: the curve of hits over wrong hits, and the threshold that a budget allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log

from plugins.semantic_cache.verification import Verifier
from plugins.semantic_cache.verifying.intervals import clopper_pearson, upper_bound

UNSUPPORTED = 1.01
"""The threshold where the data supports none: no probability reaches it."""

# Each step takes a quarter more hits than the one before: each test costs confidence.
_GROWTH = 1.25
_LEAST_HITS = 20


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """A lookup whose outcome is known.

    Args:
        asked: the question.
        stored: the nearest stored question.
        cosine: of their embeddings.
        serves: whether the stored answer serves.
    """

    asked: str
    stored: str
    cosine: float
    serves: bool


@dataclass(frozen=True, slots=True)
class Point:
    """What a threshold comes to.

    Args:
        threshold: probability from which on the answer is served.
        lookups: all of them.
        hits: served.
        wrong: of the hits.
    """

    threshold: float
    lookups: int
    hits: int
    wrong: int

    @property
    def hit_rate(self) -> float:
        """Hits over lookups."""
        return self.hits / self.lookups if self.lookups else 0.0

    @property
    def error(self) -> float:
        """Wrong hits over hits; 0 without any."""
        return self.wrong / self.hits if self.hits else 0.0

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the exact interval of the error."""
        return clopper_pearson(self.wrong, self.hits, confidence)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A curve by threshold, from the strictest to the loosest.

    Args:
        points: of the curve; each has more hits than the one before.
        confidence: of the thresholds.
    """

    points: tuple[Point, ...]
    confidence: float

    def threshold(self, max_error: float) -> float:
        """Return the lowest threshold whose error is within a budget, with the stated confidence.

        All points are tested at once (Bonferroni): the one that is taken was the best of them.

        Args:
            max_error: wrong hits over hits, 0 < max_error < 1.

        Returns:
            `UNSUPPORTED` where no point is within it.
        """
        return lowest_within(self.points, max_error, self.confidence)


def calibrate(
    verifier: Verifier, pairs: Iterable[LabelledPair], confidence: float = 0.95
) -> Calibration:
    """Return the curve of labelled pairs, such as an operator's own or those of feedback.

    Args:
        verifier: of the embedder that the cosines are of.
        pairs: lookups as they come, near and far ones alike.
        confidence: of the thresholds.
    """
    scored = [
        (verifier.probability(pair.asked, pair.stored, pair.cosine), pair.serves) for pair in pairs
    ]
    return Calibration(curve(scored), confidence)


def curve(scored: Sequence[tuple[float, bool]]) -> tuple[Point, ...]:
    """Return the points of scored lookups.

    Args:
        scored: probability and whether the answer serves.
    """
    ordered = sorted(scored, key=lambda one: -one[0])
    points: list[Point] = []
    wanted = float(_LEAST_HITS)
    wrong = 0
    for at, (probability, serves) in enumerate(ordered):
        wrong += not serves
        is_last = at + 1 == len(ordered)
        # Equal probabilities are served together.
        if not is_last and (at + 1 < wanted or ordered[at + 1][0] == probability):
            continue
        points.append(Point(probability, len(ordered), at + 1, wrong))
        wanted = (at + 1) * _GROWTH
    return tuple(points)


def lowest_within(points: Sequence[Point], max_error: float, confidence: float) -> float:
    """Return the lowest threshold of some points that is within a budget.

    Args:
        points: of a curve.
        max_error: the budget.
        confidence: that the chosen one is within it.
    """
    if not points:
        return UNSUPPORTED
    each = 1 - (1 - confidence) / len(points)
    within = [
        point.threshold
        for point in points
        if point.hits and upper_bound(point.wrong, point.hits, each) <= max_error
    ]
    return min(within, default=UNSUPPORTED)


def between(table: Sequence[tuple[float, float]], max_error: float) -> float:
    """Return the threshold of any budget from those of some.

    Args:
        table: (budget, threshold) by rising budget.
        max_error: the budget; below the least of the table there is no threshold.
    """
    if not table or max_error < table[0][0]:
        return UNSUPPORTED
    for (low, strict), (high, loose) in pairwise(table):
        if max_error < high:
            if strict > 1:
                return strict
            share = (log(max_error) - log(low)) / (log(high) - log(low))
            return _logistic(_logit(strict) + share * (_logit(loose) - _logit(strict)))
    return table[-1][1]


def _logit(probability: float) -> float:
    return log(probability) - log(1 - probability)


def _logistic(score: float) -> float:
    return 1 / (1 + exp(-score))
