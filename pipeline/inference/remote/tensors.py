"""Tensors of the protocol: numbers and texts, as raw bytes or as typed contents."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DragomanError
from pipeline.inference.remote import oip_pb2 as pb

Array = NDArray[Any]
Tensor = pb.ModelInferRequest.InferInputTensor | pb.ModelInferResponse.InferOutputTensor

# Little-endian type of the raw form, and the field of the typed one. FP16 has no typed one.
_NUMBERS = {
    "BOOL": ("?", "bool_contents"),
    "INT8": ("i1", "int_contents"),
    "INT16": ("<i2", "int_contents"),
    "INT32": ("<i4", "int_contents"),
    "INT64": ("<i8", "int64_contents"),
    "UINT8": ("u1", "uint_contents"),
    "UINT16": ("<u2", "uint_contents"),
    "UINT32": ("<u4", "uint_contents"),
    "UINT64": ("<u8", "uint64_contents"),
    "FP16": ("<f2", ""),
    "FP32": ("<f4", "fp32_contents"),
    "FP64": ("<f8", "fp64_contents"),
}
_LENGTH = struct.Struct("<I")


class BadTensor(DragomanError):
    """Raised when a tensor is not what it says; the message names it, not what it holds."""


def read_numbers(tensor: Tensor, raw: bytes | None) -> Array:
    """Return a tensor of numbers in its shape.

    Args:
        tensor: its name, data type and shape, and its contents unless there are raw ones.
        raw: its raw contents, None where there are none.

    Raises:
        BadTensor: its contents do not fit its type and shape.
    """
    kind, field = _NUMBERS.get(tensor.datatype, ("", ""))
    if not kind:
        raise BadTensor(f"tensor {tensor.name!r} is no tensor of numbers: {tensor.datatype!r}")
    shape = _shape(tensor)
    try:
        if raw is not None:
            flat = np.frombuffer(raw, kind)
        else:
            flat = np.asarray(getattr(tensor.contents, field) if field else (), kind)
    except (ValueError, OverflowError):
        raise BadTensor(f"tensor {tensor.name!r} has contents of another type") from None
    if flat.size != math.prod(shape):
        raise BadTensor(f"tensor {tensor.name!r} has contents of another size than its shape")
    return flat.reshape(shape)


def read_texts(tensor: Tensor, raw: bytes | None) -> list[bytes]:
    """Return the elements of a tensor of type BYTES, whatever its shape.

    Args:
        tensor: see `read_numbers`.
        raw: see `read_numbers`; each element has its length before it.

    Raises:
        BadTensor: its contents do not fit its type and shape.
    """
    if tensor.datatype != "BYTES":
        raise BadTensor(f"tensor {tensor.name!r} is no tensor of BYTES: {tensor.datatype!r}")
    texts = list(tensor.contents.bytes_contents) if raw is None else _split(tensor.name, raw)
    if len(texts) != math.prod(_shape(tensor)):
        raise BadTensor(f"tensor {tensor.name!r} has contents of another size than its shape")
    return texts


def write_numbers(response: pb.ModelInferResponse, name: str, datatype: str, values: Array) -> None:
    """Add a tensor of numbers to a response, in the raw form.

    Args:
        response: has raw contents alone.
        name: the tensor's.
        datatype: as the protocol calls it.
        values: its contents in its shape.
    """
    response.outputs.add(name=name, datatype=datatype, shape=values.shape)
    kind, _ = _NUMBERS[datatype]
    response.raw_output_contents.append(np.ascontiguousarray(values, kind).tobytes())


def write_texts(response: pb.ModelInferResponse, name: str, values: Sequence[bytes]) -> None:
    """Add a tensor of type BYTES to a response, in the raw form."""
    response.outputs.add(name=name, datatype="BYTES", shape=[len(values)])
    response.raw_output_contents.append(b"".join(_LENGTH.pack(len(v)) + v for v in values))


def raw_of(contents: Sequence[bytes], index: int, tensors: int) -> bytes | None:
    """Return the raw contents of a message's tensor, None where it has typed ones.

    Raises:
        BadTensor: there are raw contents for other tensors than those.
    """
    if not contents:
        return None
    if len(contents) != tensors:
        raise BadTensor("there are raw contents for some tensors, not for all")
    return contents[index]


def _shape(tensor: Tensor) -> tuple[int, ...]:
    shape = tuple(tensor.shape)
    if any(size < 0 for size in shape):
        raise BadTensor(f"tensor {tensor.name!r} has a shape with a negative size")
    return shape


def _split(name: str, raw: bytes) -> list[bytes]:
    elements: list[bytes] = []
    at = 0
    while at < len(raw):
        begin = at + _LENGTH.size
        if begin > len(raw):
            raise BadTensor(f"tensor {name!r} ends in the midst of a length")
        at = begin + _LENGTH.unpack_from(raw, begin - _LENGTH.size)[0]
        if at > len(raw):
            raise BadTensor(f"tensor {name!r} ends in the midst of an element")
        elements.append(raw[begin:at])
    return elements
