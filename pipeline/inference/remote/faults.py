"""Faults: what a failed call says of the node, of the texts, and of trying elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import grpc

from pipeline.errors import DragomanError

CODE_METADATA = "dragoman-code"
"""In the trailing metadata of a call that a node of ours failed for what became of the texts."""

Verdict = Literal["none", "failure", "unfit"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a failed call means.

    Args:
        code: of the `InferenceError` that it becomes.
        verdict: on the node: a `failure` counts against it, an `unfit` one is left at once.
        elsewhere: whether another node may do better.
        blames_texts: whether one of several texts may be the reason: each goes alone then.
    """

    code: str
    verdict: Verdict = "none"
    elsewhere: bool = True
    blames_texts: bool = False


class NodeFault(DragomanError):
    """Raised when a call failed; `meaning` says what that means."""

    def __init__(self, message: str, meaning: Meaning) -> None:
        super().__init__(message)
        self.meaning = meaning


LOST = Meaning("unavailable", "failure")
UNFIT = Meaning("unavailable", "unfit")
NONSENSE = Meaning("model_failed", blames_texts=True)

# A node that fails at a text still serves others: whoever sends such texts must not close it.
_BY_STATUS = {
    grpc.StatusCode.UNAVAILABLE: LOST,
    grpc.StatusCode.CANCELLED: LOST,
    grpc.StatusCode.DEADLINE_EXCEEDED: Meaning("deadline", "failure"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: Meaning("queue_full"),
    grpc.StatusCode.NOT_FOUND: UNFIT,
    grpc.StatusCode.UNIMPLEMENTED: UNFIT,
    grpc.StatusCode.UNAUTHENTICATED: UNFIT,
    grpc.StatusCode.PERMISSION_DENIED: UNFIT,
    grpc.StatusCode.FAILED_PRECONDITION: UNFIT,
    grpc.StatusCode.INVALID_ARGUMENT: Meaning("model_failed", elsewhere=False, blames_texts=True),
    grpc.StatusCode.OUT_OF_RANGE: Meaning("text_too_large", elsewhere=False, blames_texts=True),
}


def fault_of(error: grpc.aio.AioRpcError, *, is_patient: bool) -> NodeFault:
    """Return what a call's status means.

    Args:
        error: the status.
        is_patient: whether the call had enough time to blame a node that did not use it.
    """
    meaning = _BY_STATUS.get(error.code(), NONSENSE)
    if meaning.code == "deadline" and not is_patient:
        meaning = replace(meaning, verdict="none")
    if any(key == CODE_METADATA for key, _ in error.trailing_metadata() or ()):
        # A node of ours tells of each text by itself: this is so of all of them.
        meaning = replace(meaning, blames_texts=False)
    # Not the status' own text: another server may quote what it was sent.
    return NodeFault(error.code().name, meaning)
