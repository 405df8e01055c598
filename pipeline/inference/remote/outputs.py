"""Outputs: where a model's heads stand in its replies, and what they say there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.inference.contract import Head, Vector
from pipeline.inference.remote.tensors import Array, BadTensor

Activation = Literal["none", "sigmoid", "softmax"]
# A probability of 16 bits may be a little over 1.
_SLACK = 1e-3


@dataclass(frozen=True, slots=True)
class Output:
    """Where one head stands.

    Args:
        head: it.
        tensor: the output's name.
        column: of kind `score`: which of a text's numbers it is, where there are several.
        activation: makes probabilities of what the output holds.
    """

    head: Head
    tensor: str
    column: int | None = None
    activation: Activation = "none"


def read_embeddings(output: Output, values: Array, texts: int) -> Vector:
    """Return a head of kind `embedding`, shape (texts, d), each row of length 1.

    Raises:
        BadTensor: these are no embeddings of that many texts.
    """
    rows = _rows(output, values, texts)
    with np.errstate(all="ignore"):  # what overflows is refused
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise BadTensor(f"output {output.tensor!r} has embeddings without a direction")
    return np.asarray(rows / lengths, np.float32)


def read_scores(output: Output, values: Array, texts: int) -> Vector:
    """Return a head of kind `score`, shape (texts,).

    Raises:
        BadTensor: these are no probabilities of that many texts.
    """
    rows = _probabilities(output, values, texts)
    if output.column is None and rows.shape[1] != 1:
        raise BadTensor(f"output {output.tensor!r} has {rows.shape[1]} columns: say which one")
    column = output.column or 0
    if column >= rows.shape[1]:
        raise BadTensor(f"output {output.tensor!r} has no column {column}")
    return rows[:, column]


def read_labels(output: Output, values: Array, texts: int) -> Vector:
    """Return a head of kind `labels`, shape (texts, labels).

    Raises:
        BadTensor: these are no probabilities of its labels for that many texts.
    """
    rows = _probabilities(output, values, texts)
    if rows.shape[1] != len(output.head.labels):
        raise BadTensor(
            f"output {output.tensor!r} has {rows.shape[1]} columns for "
            f"{len(output.head.labels)} labels"
        )
    return rows


def _rows(output: Output, values: Array, texts: int) -> Vector:
    # A server may leave out the first dimension of one text, or have further ones of size 1.
    is_by_text = values.shape[:1] == (texts,)
    if not values.size or not (is_by_text or texts == 1):
        raise BadTensor(f"output {output.tensor!r} has no row for each of {texts} texts")
    with np.errstate(all="ignore"):
        return np.asarray(values, np.float32).reshape(texts, -1)


def _probabilities(output: Output, values: Array, texts: int) -> Vector:
    rows = _rows(output, values, texts)
    with np.errstate(all="ignore"):
        match output.activation:
            case "sigmoid":
                # As a tanh, which does not overflow.
                rows = (np.tanh(rows / np.float32(2)) + np.float32(1)) / np.float32(2)
            case "softmax":
                powers = np.exp(rows - rows.max(axis=1, keepdims=True))
                rows = powers / powers.sum(axis=1, keepdims=True)
            case "none":
                pass
    # Not a number compares as under any threshold: a guard would let everything pass.
    if not ((rows >= -_SLACK) & (rows <= 1 + _SLACK)).all():
        raise BadTensor(
            f"output {output.tensor!r} is not between 0 and 1: logits need an `activation`"
        )
    return np.clip(rows, np.float32(0), np.float32(1))
