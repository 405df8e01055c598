"""Boosted trees, fitted by scikit-learn and written as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugins.semantic_cache.verifying.features import NAMES
from plugins.semantic_cache.verifying.trees import Trees

Floats = NDArray[np.float64]
_ROUNDS = 160
_RATE = 0.08
_LEAVES = 24
_DEPTH = 6
_LEAST_IN_LEAF = 40
_RIDGE = 5.0
# Nearer is never worse, and another number never better, whatever the samples say.
_MONOTONE = {"cosine": 1, "learned cosine": 1, "numbers apart": -1}


def fit(rows: NDArray[np.float32], serves: NDArray[np.bool_], weights: Floats) -> Trees:
    """Fit trees to labelled pairs.

    Args:
        rows: (n, features).
        serves: (n) labels.
        weights: (n) of the pairs.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=_ROUNDS,
        learning_rate=_RATE,
        max_leaf_nodes=_LEAVES,
        max_depth=_DEPTH,
        min_samples_leaf=_LEAST_IN_LEAF,
        l2_regularization=_RIDGE,
        monotonic_cst=[_MONOTONE.get(name, 0) for name in NAMES],
        early_stopping=False,
        random_state=0,
    )
    model.fit(rows, serves, weights)
    return as_arrays([made[0].nodes for made in model._predictors], _start(model))  # noqa: SLF001


def as_arrays(trees: Sequence[NDArray[Any]], start: float) -> Trees:
    """Return scikit-learn's trees as the arrays that are served.

    Args:
        trees: nodes of each, as its predictors hold them.
        start: log-odds that all begin with.
    """
    sizes = [len(nodes) for nodes in trees]
    roots = np.cumsum([0, *sizes[:-1]])
    children = []
    for root, nodes in zip(roots, trees, strict=True):
        own = np.arange(len(nodes))
        leaf = nodes["is_leaf"].astype(bool)
        sides = [np.where(leaf, own, nodes[side]) for side in ("left", "right")]
        children.append(root + np.stack(sides, 1).ravel())
    every = np.concatenate(trees)
    leaf = every["is_leaf"].astype(bool)
    return Trees(
        features=np.where(leaf, 0, every["feature_idx"]).astype(np.intp),
        thresholds=np.where(leaf, 0, every["num_threshold"]).astype(np.float64),
        children=np.concatenate(children).astype(np.intp),
        values=np.where(leaf, every["value"], 0).astype(np.float64),
        roots=roots.astype(np.intp),
        depth=int(max(nodes["depth"].max() for nodes in trees)),
        start=start,
    )


def scores(trees: Trees, rows: NDArray[np.float32]) -> Floats:
    """Return the log-odds of many rows at once.

    Args:
        trees: to walk.
        rows: (n, features).
    """
    total = np.full(len(rows), trees.start)
    place = np.arange(len(rows))
    for root in trees.roots:
        at = np.full(len(rows), root)
        for _ in range(trees.depth):
            right = rows[place, trees.features[at]] > trees.thresholds[at]
            at = trees.children[2 * at + right]
        total += trees.values[at]
    return total


def _start(model: Any) -> float:
    return float(np.ravel(model._baseline_prediction)[0])  # noqa: SLF001
