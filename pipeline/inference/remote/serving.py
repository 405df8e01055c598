"""The server's side of a call: what a request asks for, and the reply that says it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import DragomanError
from pipeline.inference.contract import Head, InferenceError, Reading
from pipeline.inference.remote import oip_pb2 as pb
from pipeline.inference.remote.replies import CODES, TEXT, TOKENS, UNREAD
from pipeline.inference.remote.tensors import (
    Array,
    BadTensor,
    raw_of,
    read_texts,
    write_numbers,
    write_texts,
)

_BESIDE = frozenset({TOKENS, UNREAD, CODES})


class BadRequest(DragomanError):
    """Raised when a request is not one for this model; nothing of it is in the message."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for.

    Args:
        texts: to read.
        heads: names of heads.
        outputs: names of all outputs, in their order.
    """

    texts: Sequence[str]
    heads: frozenset[str]
    outputs: Sequence[str]

    @property
    def takes_codes(self) -> bool:
        """Whether texts without a reading are told one by one: else one of them fails all."""
        return CODES in self.outputs


def read_request(request: pb.ModelInferRequest, heads: Collection[str], max_texts: int) -> Asked:
    """Return what a request asks for.

    Args:
        request: of any client of the protocol.
        heads: the model's.
        max_texts: that one request may have.

    Raises:
        BadRequest: it is not one for this model.
    """
    if len(request.inputs) != 1 or request.inputs[0].name != TEXT:
        raise BadRequest(f"the model has one input: {TEXT!r}")
    outputs = tuple(dict.fromkeys(output.name for output in request.outputs))
    if not outputs:
        outputs = (*heads, TOKENS, UNREAD)
    unknown = [name for name in outputs if name not in heads and name not in _BESIDE]
    if unknown:
        raise BadRequest("an output is asked for that the model does not have")
    wanted = frozenset(outputs) - _BESIDE
    if not wanted:
        raise BadRequest("no head is asked for")
    return Asked(_texts(request, max_texts), wanted, outputs)


def _texts(request: pb.ModelInferRequest, max_texts: int) -> list[str]:
    tensor = request.inputs[0]
    sizes = [size for size in tensor.shape if size != 1]
    # Before they are parted: there may be millions of empty ones in a few megabytes.
    if len(sizes) > 1 or any(not 0 < size <= max_texts for size in sizes):
        raise BadRequest(f"{TEXT!r} has the shape [n], n from 1 to {max_texts}")
    try:
        texts = read_texts(tensor, raw_of(request.raw_input_contents, 0, 1))
        return [text.decode() for text in texts]
    except BadTensor as error:
        raise BadRequest(str(error)) from None
    except UnicodeDecodeError:
        raise BadRequest("a text is not UTF-8") from None


def write_reply(
    response: pb.ModelInferResponse,
    asked: Asked,
    heads: Mapping[str, Head],
    readings: Sequence[Reading | InferenceError],
) -> None:
    """Add the outputs that were asked for to a response.

    Args:
        response: has none yet.
        asked: what was asked for.
        heads: the model's.
        readings: one a text, at least one of them a `Reading`.
    """
    for name in asked.outputs:
        if name == CODES:
            codes = [b"" if isinstance(r, Reading) else r.code.encode() for r in readings]
            write_texts(response, name, codes)
        elif name in _BESIDE:
            counts = [getattr(reading, name, 0) for reading in readings]
            write_numbers(response, name, "INT32", np.asarray(counts, np.int32))
        else:
            write_numbers(response, name, "FP32", _rows(heads[name], readings))


def _rows(head: Head, readings: Sequence[Reading | InferenceError]) -> Array:
    values = [_value(head, one) if isinstance(one, Reading) else None for one in readings]
    known = next(np.shape(value) for value in values if value is not None)
    # A text without a reading has no number that could be taken for one.
    nothing = np.full(known, np.nan, np.float32)
    return np.asarray([nothing if value is None else value for value in values], np.float32)


def _value(head: Head, reading: Reading) -> Array | float | None:
    match head.kind:
        case "embedding":
            return reading.embedding
        case "score":
            return reading.scores[head.name]
        case "labels":
            return reading.labels[head.name]
