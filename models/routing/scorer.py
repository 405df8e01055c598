"""The scorer: a linear function of what a text looks like and, lightly, of what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Subjects beyond these directions are what does not carry over to unseen categories.
DIRECTIONS = 64
# The embedding's directions stand beside standardised features, this much larger.
EMPHASIS = 2.0
RIDGE = 1.0


@dataclass(frozen=True, slots=True)
class Scorer:
    """`embedding @ about + features @ looks - shift`; higher where a weak model suffices.

    Args:
        about: [dimensions].
        looks: [features].
        shift: of all scores.
    """

    about: Floats
    looks: Floats
    shift: float

    def __call__(self, embeddings: Floats, features: Floats) -> Floats:
        """Return the score of each text.

        Args:
            embeddings: (n, dimensions), as heads read them.
            features: (n, features) of `text_features`.
        """
        return embeddings @ self.about + features @ self.looks - self.shift


def fit(
    embeddings: Sequence[Floats], features: Sequence[Floats], suffices: Sequence[Floats]
) -> Scorer:
    """Fit a scorer to several data sets at once.

    Each set has a level of its own, since its models and tasks are others; what is learned is
    what makes a question harder than the next within a set.

    Args:
        embeddings: by data set, (n, dimensions).
        features: by data set, (n, features).
        suffices: by data set, how often a weak answer was as good as a strong one, 0 to 1.
    """
    about, looks = np.concatenate(embeddings), np.concatenate(features)
    wanted = np.concatenate([rows - rows.mean() for rows in suffices])
    spread = looks.std(axis=0) + 1e-6
    centre = about.mean(axis=0)
    _, axes = np.linalg.eigh((about - centre).T @ (about - centre))
    axes = axes[:, ::-1][:, :DIRECTIONS]
    axes = axes * (EMPHASIS / ((about - centre) @ axes).std())
    inputs = np.hstack([(about - centre) @ axes, (looks - looks.mean(axis=0)) / spread])
    penalty = RIDGE * len(wanted) * np.eye(inputs.shape[1])
    weights = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ wanted)
    directions = axes.shape[1]
    on_about, on_looks = axes @ weights[:directions], weights[directions:] / spread
    shift = centre @ on_about + looks.mean(axis=0) @ on_looks
    return Scorer(on_about, on_looks, float(shift))


def platt(scores: Floats, suffices: Floats) -> tuple[float, float]:
    """Return scale and bias of the logistic that fits shares best, by Newton's method.

    Args:
        scores: of texts that the scorer was not fitted to.
        suffices: shares from 0 to 1.
    """
    inputs = np.stack([scores, np.ones_like(scores)], axis=1)
    weights = np.zeros(2)
    for _ in range(50):
        chance = sigmoid(inputs @ weights)
        curvature = inputs.T @ (inputs * (chance * (1 - chance))[:, None]) + 1e-9 * np.eye(2)
        weights = weights + np.linalg.solve(curvature, inputs.T @ (suffices - chance))
    return float(weights[0]), float(weights[1])


def sigmoid(values: Floats) -> Floats:
    """Return the logistic of values."""
    return 1 / (1 + np.exp(-np.clip(values, -60, 60)))
