"""What a shipped model says of texts, before and after calibration, as serving computes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.contract import Model, Prepared, Reading
from pipeline.inference.manifest import ModelFolder
from pipeline.inference.pooling import pool

_CHUNK = 32


@dataclass(frozen=True, slots=True)
class Pooled:
    """Logits of texts by one head.

    Args:
        logits: [texts], the largest of all windows.
        windows: [texts], how many there were of the text itself.
    """

    logits: NDArray[np.float64]
    windows: NDArray[np.intp]


def shipped(tier: Literal["tiny", "small"], threads: int = 1) -> Model:
    """Return a tier's model on the CPU, as it lies in the package."""
    folder = ModelFolder.of_tier(tier)
    if tier == "tiny":
        from pipeline.inference.static_model import StaticModel

        return StaticModel(folder)
    from pipeline.inference.onnx_model import OnnxModel

    return OnnxModel(folder, threads=threads)


def largest(model: Model, texts: Sequence[str], heads: Sequence[str]) -> dict[str, Pooled]:
    """Return the largest logit of each text's windows, by head.

    Args:
        model: to ask.
        texts: any.
        heads: of kind `score`, all with views or all without.
    """
    best: dict[str, list[float]] = {head: [] for head in heads}
    counts: list[int] = []
    for prepared in _prepared(model, texts, heads):
        rows = model.forward([w for text in prepared for w in text.windows], heads)
        sizes = [len(text.windows) for text in prepared]
        starts = np.cumsum([0, *sizes[:-1]])
        counts += [sum(not w.view for w in text.windows) for text in prepared]
        for head in heads:
            best[head] += np.maximum.reduceat(rows[head], starts).tolist()
    windows = np.array(counts, np.intp)
    return {head: Pooled(np.array(values), windows) for head, values in best.items()}


def readings(model: Model, texts: Sequence[str], heads: Sequence[str]) -> list[Reading]:
    """Return the readings of texts, calibrated.

    Args:
        model: to ask.
        texts: any.
        heads: by name.
    """
    asked = [model.heads[head] for head in heads]
    found: list[Reading] = []
    for prepared in _prepared(model, texts, heads):
        rows = model.forward([w for text in prepared for w in text.windows], heads)
        found += pool(prepared, rows, asked)
    return found


def _prepared(
    model: Model, texts: Sequence[str], heads: Sequence[str]
) -> Iterator[Sequence[Prepared]]:
    for begin in range(0, len(texts), _CHUNK):
        yield model.prepare(texts[begin : begin + _CHUNK], heads)
