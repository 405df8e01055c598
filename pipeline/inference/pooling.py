"""Pooling: one reading of a text out of the rows of its windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.contract import Head, InferenceError, Prepared, Reading, Rows, Vector

_TINY = 1e-12
_V = TypeVar("_V")


def pool(texts: Sequence[Prepared], rows: Rows, heads: Sequence[Head]) -> list[Reading]:
    """Return the reading of each text, for all of them at once.

    An embedding has unit length; it is zero where the model saw nothing in the text.

    Args:
        texts: the texts.
        rows: of their windows, one text's after the other's; (n, d) float32 of an embedding,
            (n,) logits of a score, (n, k) logits of labels.
        heads: those to pool, each of which has rows.

    Raises:
        InferenceError: a row is not a number; a score of that would pass every threshold.
    """
    shape = _Shape.of(texts)
    embeddings: Vector | None = None
    logits: dict[str, Vector] = {}
    labels: dict[str, Vector] = {}
    for head in heads:
        pooled = _pooled(np.asarray(rows[head.name], np.float32), head, shape)
        if head.kind == "score":
            logits[head.name] = _calibrated(pooled, head, shape)
            continue
        _check(pooled, [head.name])
        if head.kind == "embedding":
            norms = np.sqrt(np.vecdot(pooled, pooled))
            embeddings = pooled / np.maximum(norms, _TINY)[:, None]
        else:
            labels[head.name] = _softmax(head.calibration.scale * pooled)
    scores = {}
    if logits:
        together = np.array([*logits.values()])
        _check(together, [*logits])
        scores = dict(zip(logits, _sigmoid(together).tolist(), strict=True))
    return [
        Reading(
            # A row alone: a view of it would keep the embeddings of all texts.
            embedding=None if embeddings is None else _frozen(embeddings[index].copy()),
            scores={name: values[index] for name, values in scores.items()},
            labels={name: _frozen(values[index].copy()) for name, values in labels.items()},
            tokens=text.tokens,
            unread=text.unread,
        )
        for index, text in enumerate(texts)
    ]


def merge(first: Reading, second: Reading) -> Reading:
    """Return what two readings of one text say together; the second where both speak."""
    return Reading(
        embedding=first.embedding if second.embedding is None else second.embedding,
        scores=_joined(first.scores, second.scores),
        labels=_joined(first.labels, second.labels),
        tokens=max(first.tokens, second.tokens),
        unread=max(first.unread, second.unread),
    )


def _joined(first: Mapping[str, _V], second: Mapping[str, _V]) -> Mapping[str, _V]:
    return {**first, **second} if first and second else first or second


@dataclass(frozen=True, slots=True)
class _Shape:
    """Which rows are which text's, and how they count."""

    starts: NDArray[np.intp]
    weights: Vector
    """By row; 0 for other views than the text itself."""

    own: NDArray[np.intp]
    """Windows of the text itself, by text."""

    is_single: bool
    """Whether every text is one window, as most are; the rest is not filled then."""

    @classmethod
    def of(cls, texts: Sequence[Prepared]) -> _Shape:
        windows = [window for text in texts for window in text.windows]
        if len(windows) == len(texts):
            return _SINGLE
        counts = np.array([len(text.windows) for text in texts], np.intp)
        starts = np.cumsum(counts) - counts
        weights = np.array([0 if w.view else w.weight for w in windows], np.float32)
        own = np.add.reduceat((weights > 0).astype(np.intp), starts)
        return cls(starts, weights, own, is_single=False)


_NONE = np.zeros(0, np.intp)
_SINGLE = _Shape(_NONE, np.zeros(0, np.float32), _NONE, is_single=True)


def _check(values: Vector, names: Sequence[str]) -> None:
    """Refuse what is not a number.

    Args:
        values: of one head, or [heads, texts].
        names: of the heads.
    """
    if np.isfinite(values).all():
        return
    bad = names[int((~np.isfinite(values)).any(axis=1).argmax())] if len(names) > 1 else names[0]
    raise InferenceError(f"the model's {bad!r} is not a number", "model_failed")


def _pooled(rows: Vector, head: Head, shape: _Shape) -> Vector:
    if shape.is_single:
        return rows
    weights = shape.weights if rows.ndim == 1 else shape.weights[:, None]
    if head.kind != "embedding" and head.pooling == "max":
        counted = rows if head.views else np.where(weights > 0, rows, np.float32(-np.inf))
        return np.asarray(np.maximum.reduceat(counted, shape.starts))
    # Not a number times zero stays so: rows of other views are left out before they are weighed.
    weighed = np.where(weights > 0, rows, np.float32(0)) * weights
    total = np.add.reduceat(weights, shape.starts)
    return np.asarray(np.add.reduceat(weighed, shape.starts) / total)


def _calibrated(logits: Vector, head: Head, shape: _Shape) -> Vector:
    how = head.calibration
    if how.per_doubling and head.pooling == "max" and not shape.is_single:
        # What a text decodes to is no longer text: a view must not make its attack harder to see.
        shift = how.per_doubling * np.log2(shape.own)
        return np.asarray(how.scale * (logits - shift) + how.bias, np.float32)
    return np.asarray(how.scale * logits + how.bias, np.float32)


def _sigmoid(x: Vector) -> Vector:
    # By tanh, which has no overflow.
    return np.asarray(0.5 * (1 + np.tanh(0.5 * x)))


def _softmax(logits: Vector) -> Vector:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)


def _frozen(vector: Vector) -> Vector:
    vector.flags.writeable = False
    return vector
