"""Metadata: how a node of ours tells which heads it has, in what the protocol has for that.

Each head is an output tensor with a parameter of our own. Other clients see a model with one input
and the outputs of a pass; other servers have no such parameter, and config says what is what.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import DragomanError
from pipeline.inference.contract import Head
from pipeline.inference.remote import oip_pb2 as pb
from pipeline.inference.remote.replies import CODES, TEXT, TOKENS, UNREAD

PLATFORM = "dragoman"
"""What a node of ours calls its platform."""

_HEAD = "dragoman.head"
_HEADS = TypeAdapter(Head)
# What a caller does with a probability; how it came about is the node's business.
_LEFT_OUT = {"calibration"}


class BadMetadata(DragomanError):
    """Raised when a node's metadata is not what a node of ours tells."""


@dataclass(frozen=True, slots=True)
class Described:
    """A model as its node describes it.

    Args:
        identity: name and hash.
        heads: by name.
    """

    identity: str
    heads: Mapping[str, Head]


def write_metadata(name: str, model: Described) -> pb.ModelMetadataResponse:
    """Return the metadata of a model.

    Args:
        name: what callers call it.
        model: what it is.
    """
    response = pb.ModelMetadataResponse(name=name, versions=[model.identity], platform=PLATFORM)
    response.inputs.add(name=TEXT, datatype="BYTES", shape=[-1])
    for head in model.heads.values():
        shape = {"embedding": [-1, -1], "score": [-1], "labels": [-1, len(head.labels)]}
        output = response.outputs.add(name=head.name, datatype="FP32", shape=shape[head.kind])
        written = _HEADS.dump_python(head, mode="json", exclude=_LEFT_OUT)
        output.parameters[_HEAD].string_param = json.dumps(written, separators=(",", ":"))
    for count in (TOKENS, UNREAD):
        response.outputs.add(name=count, datatype="INT32", shape=[-1])
    response.outputs.add(name=CODES, datatype="BYTES", shape=[-1])
    return response


def read_metadata(response: pb.ModelMetadataResponse) -> Described:
    """Return what a node of ours tells of a model.

    Raises:
        BadMetadata: it is not one of ours, or another version of Dragoman.
    """
    if response.platform != PLATFORM or len(response.versions) != 1:
        raise BadMetadata("this is no node of `dragoman serve-models`")
    heads: dict[str, Head] = {}
    for output in response.outputs:
        if _HEAD not in output.parameters:
            continue
        head = _read_head(output.parameters[_HEAD].string_param)
        if head.name != output.name:
            raise BadMetadata(f"output {output.name!r} has the head of another")
        heads[head.name] = head
    return Described(response.versions[0], heads)


def _read_head(text: str) -> Head:
    try:
        document: Any = json.loads(text)
        # What a later version tells beside is nothing that this one could heed.
        known = {key: document[key] for key in Head.__dataclass_fields__ if key in document}
        return _HEADS.validate_python(known)
    except (ValueError, TypeError, KeyError, RecursionError, ValidationError) as error:
        raise BadMetadata("a head is not described as this version of Dragoman does") from error
