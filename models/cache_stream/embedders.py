"""The embedders that are compared: each tier as it ships, and the trunk in full precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.cache_stream.figures import Embedder
from pipeline.config.inference import InferenceConfig
from pipeline.inference.contract import EMBEDDING, Model
from pipeline.inference.loading import tier_model

Vectors = NDArray[np.float32]
_BATCH = 256


def tier(name: str) -> Embedder:
    """Return a tier's embedding, computed on the CPU by the very model that serves it.

    Args:
        name: `tiny` or `small`.
    """

    def embed(texts: Sequence[str]) -> Vectors:
        model = tier_model(InferenceConfig.model_validate({"tier": name, "device": "cpu"}))()
        try:
            rows = [
                _embeddings(model, texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)
            ]
        finally:
            model.close()
        return np.concatenate(rows)

    return embed


def trunk(cache: Path) -> Embedder:
    """Return the trunk's embedding in bfloat16: what the small tier is to come near.

    Args:
        cache: folder that keeps what was computed.
    """
    from models.tiny.teacher import Teacher

    return Teacher(cache).texts


def plain_static(cache: Path) -> Embedder:
    """Return the first table's embedding, before it learns: what the tiny tier is to better.

    Args:
        cache: folder that keeps what was computed.
    """

    def embed(texts: Sequence[str]) -> Vectors:
        from models.tiny.building import plain_table, tokenised
        from models.tiny.table import embed as means

        return means(plain_table(cache), tokenised(texts))

    return embed


def named(cache: Path) -> dict[str, Callable[[], Embedder]]:
    """Return what makes each embedder, by name."""
    return {
        "small": lambda: tier("small"),
        "tiny": lambda: tier("tiny"),
        "trunk": lambda: trunk(cache),
        "plain_static": lambda: plain_static(cache),
    }


def _embeddings(model: Model, texts: Sequence[str]) -> Vectors:
    prepared = model.prepare(texts, {EMBEDDING})
    windows = [window for one in prepared for window in one.windows]
    rows = model.forward(windows, {EMBEDDING})[EMBEDDING]
    # A text of several windows has their mean; hardly any question has.
    ends = np.cumsum([len(one.windows) for one in prepared])[:-1]
    return np.stack([part.mean(0) for part in np.split(rows, ends)])
