"""Replies: what a node says of the texts of one call, as readings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.inference.contract import InferenceError, Reading, Vector
from pipeline.inference.remote import oip_pb2 as pb
from pipeline.inference.remote.outputs import (
    Output,
    read_embeddings,
    read_labels,
    read_scores,
)
from pipeline.inference.remote.tensors import (
    Array,
    BadTensor,
    raw_of,
    read_numbers,
    read_texts,
)

TEXT = "text"
"""Our input: BYTES, one element a text."""
TOKENS = "tokens"
UNREAD = "unread"
"""Our outputs of what a reading has beside heads: INT32, one a text."""
CODES = "code"
"""Our output of why a text has no reading: BYTES, empty for those that have one."""
_CODES = frozenset({"queue_full", "deadline", "unavailable", "model_failed", "text_too_large"})


def failure(code: str) -> InferenceError:
    """Return the error of a code that a node gave, `model_failed` for one that is not known."""
    known = code if code in _CODES else "model_failed"
    return InferenceError(f"a node could not read the text: {known}", known)


def read_reply(
    response: pb.ModelInferResponse, outputs: Sequence[Output], texts: int
) -> list[Reading | InferenceError]:
    """Return what a reply says of each text, in their order.

    Args:
        response: the reply.
        outputs: those that were asked for.
        texts: how many were sent.

    Raises:
        BadTensor: the reply is not one to that call.
    """
    tensors = _Tensors(response)
    codes = tensors.texts(CODES, texts) or [b""] * texts
    read = [index for index, code in enumerate(codes) if not code]
    tokens, unread = tensors.counts(TOKENS, texts), tensors.counts(UNREAD, texts)
    embeddings: Vector | None = None
    scores: dict[str, Vector] = {}
    labels: dict[str, Vector] = {}
    for output in outputs if read else ():
        # Rows of texts without a reading hold nothing.
        values = tensors.rows(output.tensor, texts, read)
        match output.head.kind:
            case "embedding":
                embeddings = read_embeddings(output, values, len(read))
            case "score":
                scores[output.head.name] = read_scores(output, values, len(read))
            case "labels":
                labels[output.head.name] = read_labels(output, values, len(read))
    readings: list[Reading | InferenceError] = [
        failure(code.decode(errors="replace")) for code in codes
    ]
    for row, index in enumerate(read):
        readings[index] = Reading(
            # Copies: a row that is kept must not keep those of the other texts.
            embedding=None if embeddings is None else embeddings[row].copy(),
            scores={name: float(column[row]) for name, column in scores.items()},
            labels={name: rows[row].copy() for name, rows in labels.items()},
            tokens=int(tokens[index]),
            unread=int(unread[index]),
        )
    return readings


class _Tensors:
    """The outputs of a response by name."""

    def __init__(self, response: pb.ModelInferResponse) -> None:
        self._response = response
        self._at = {tensor.name: index for index, tensor in enumerate(response.outputs)}

    def rows(self, name: str, texts: int, read: Sequence[int]) -> Array:
        index = self._at.get(name)
        if index is None:
            raise BadTensor(f"the reply has no output {name!r}")
        values = read_numbers(self._response.outputs[index], self._raw(index))
        if len(read) == texts:
            return values
        if values.shape[:1] != (texts,):
            raise BadTensor(f"output {name!r} has no row for each of {texts} texts")
        return values[list(read)]

    def counts(self, name: str, texts: int) -> Array:
        """Return how many of something each text has; servers that do not count have none."""
        index = self._at.get(name)
        if index is None:
            return np.zeros(texts, np.int32)
        values = read_numbers(self._response.outputs[index], self._raw(index))
        if values.size != texts or values.dtype.kind not in "iu":
            raise BadTensor(f"output {name!r} has no number for each of {texts} texts")
        return values.reshape(texts)

    def texts(self, name: str, texts: int) -> list[bytes]:
        index = self._at.get(name)
        if index is None:
            return []
        values = read_texts(self._response.outputs[index], self._raw(index))
        if len(values) != texts:
            raise BadTensor(f"output {name!r} has no element for each of {texts} texts")
        return values

    def _raw(self, index: int) -> bytes | None:
        response = self._response
        return raw_of(response.raw_output_contents, index, len(response.outputs))
