"""The domain head: what a text is about, by a linear map of features that both tiers have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.data.domains import LABELS, Topic
from pipeline.inference.contract import Vector

_STRENGTH = 0.3
# A top probability under this one is no label: it keeps so many labels of calibration right.
WANTED_ACCURACY = 0.95
Floats = NDArray[np.float64]


def train(topics: Sequence[Topic], features: Vector) -> Mapping[str, NDArray[np.float32]]:
    """Fit the head and return its one layer.

    Args:
        topics: labelled texts.
        features: [texts, F], of each text's first window.
    """
    from sklearn.linear_model import LogisticRegression

    centre, spread = features.mean(0), features.std(0) + 1e-6
    inputs = (features - centre) / spread / np.sqrt(features.shape[1]) * 4
    wanted = [LABELS.index(topic.label) for topic in topics]
    # A large class or source says little more than a small one.
    sizes = np.unique([f"{one.source} {one.label}" for one in topics], return_inverse=True)[1]
    weights = np.bincount(sizes)[sizes] ** -0.5
    model = LogisticRegression(C=_STRENGTH, max_iter=400, random_state=0)
    model.fit(inputs, wanted, sample_weight=weights * len(weights) / weights.sum())
    matrix = model.coef_ / spread / np.sqrt(features.shape[1]) * 4
    return {
        "domain.0.weight": matrix.astype(np.float32),
        "domain.0.bias": (model.intercept_ - matrix @ centre).astype(np.float32),
    }


def abstention(probabilities: Floats, wanted: NDArray[np.intp]) -> float:
    """Return the least top probability from which on labels are right as often as wanted.

    Args:
        probabilities: [texts, labels].
        wanted: [texts], the right label.
    """
    top = probabilities.max(1)
    order = np.argsort(-top)
    right = np.cumsum(probabilities.argmax(1)[order] == wanted[order]) / np.arange(1, len(top) + 1)
    good = np.flatnonzero(right >= WANTED_ACCURACY)
    return float(round(top[order[good[-1]]], 3)) if len(good) else 1.0
