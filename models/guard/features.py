"""The features that the small tier's heads read, computed from cached states as its graph does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.guard.states import States
from pipeline.inference.contract import Ids, Vector


def small_features(
    windows: Sequence[Ids], states: States, tensors: Mapping[str, NDArray[np.float32]]
) -> Vector:
    """Return [windows, 896]: the last layer's mean, the probe's layer's mean, and the probe.

    Args:
        windows: with special tokens.
        states: holds all of them.
        tensors: with `probe.weight` [384, units] and `probe.bias`.
    """
    last = states.means(windows)
    weight, bias = tensors["probe.weight"], tensors["probe.bias"]
    out = np.empty((len(windows), 2 * last.shape[1] + len(bias)), np.float32)
    out[:, : last.shape[1]] = last
    for row, ids in enumerate(windows):
        tokens = states.tokens(ids).astype(np.float32)
        found = np.maximum((tokens @ weight).max(0) + bias, 0)
        out[row, last.shape[1] :] = np.concatenate([tokens.mean(0), found])
    return out


def tiny_means(windows: Sequence[Ids], rows: Vector) -> Vector:
    """Return [windows, dimensions], the mean of the rows of each window's tokens.

    Args:
        windows: without special tokens.
        rows: [vocabulary, dimensions].
    """
    out = np.zeros((len(windows), rows.shape[1]), np.float32)
    for row, ids in enumerate(windows):
        if len(ids):
            out[row] = rows[ids].mean(0)
    return out
