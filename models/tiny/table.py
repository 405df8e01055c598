"""The table: one vector a token; a text's embedding is the mean of its tokens' vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 256

Vectors = NDArray[np.float32]


def quantise(rows: Vectors) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Return int8 rows and the float16 scale of each; `rows ~ int8 * scale`."""
    scales = (np.abs(rows).max(axis=1) / 127).astype(np.float16)
    steps = np.where(scales > 0, scales, np.float16(1)).astype(np.float32)
    return np.clip(np.rint(rows / steps[:, None]), -127, 127).astype(np.int8), scales


def save(path: Path, rows: Vectors) -> None:
    """Write (vocabulary, dimensions) rows as `rows` (int8) and `scales` (float16)."""
    quantised, scales = quantise(rows)
    np.savez(path, rows=quantised, scales=scales)


def load(path: Path) -> Vectors:
    """Read what `save` wrote, as float32."""
    with np.load(path, allow_pickle=False) as file:
        scales: Vectors = file["scales"].astype(np.float32)
        return np.asarray(file["rows"] * scales[:, None], np.float32)


def embed(rows: Vectors, tokens: Sequence[NDArray[np.int32]]) -> Vectors:
    """Return the (n, dimensions) means of tokens' rows; zero where a text has no token."""
    out = np.zeros((len(tokens), rows.shape[1]), np.float32)
    for at, ids in enumerate(tokens):
        if len(ids):
            out[at] = rows[ids].mean(axis=0)
    return out


def normalised(vectors: Vectors) -> Vectors:
    """Return vectors of unit length; zero ones stay."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)
