"""Boosted trees as arrays: all of them are walked at once, a level a step."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np
from numpy.typing import NDArray

_MOST_SCORE = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """Binary regression trees whose leaves are added up.

    Args:
        features: (nodes) which feature a node asks for; of a leaf, any.
        thresholds: (nodes) a value up to it goes left.
        children: (2 * nodes) the next nodes to the left and to the right; a leaf leads to itself.
        values: (nodes) of the leaves, log-odds.
        roots: (trees) first node of each.
        depth: steps to the deepest leaf.
        start: added to all leaves.
    """

    features: NDArray[np.intp]
    thresholds: NDArray[np.float64]
    children: NDArray[np.intp]
    values: NDArray[np.float64]
    roots: NDArray[np.intp]
    depth: int
    start: float

    def score(self, row: NDArray[np.float32]) -> float:
        """Return the log-odds of one row of features.

        Args:
            row: (features) float32.
        """
        at = self.roots
        for _ in range(self.depth):
            right = row.take(self.features.take(at)) > self.thresholds.take(at)
            at = self.children.take(2 * at + right)
        return self.start + float(self.values.take(at).sum())


def logistic(score: float) -> float:
    """Return the probability of log-odds."""
    return 1 / (1 + exp(-max(-_MOST_SCORE, min(_MOST_SCORE, score))))
