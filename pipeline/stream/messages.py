"""What Envoy says on a stream, what must be decided, and what is answered; no protobuf here."""

from __future__ import annotations

# Not frozen: these are made several times per request and never leave the host, and a frozen
# dataclass costs three times as much to make.
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from pipeline.api.headers import NO_EDITS, HeaderEdits
from pipeline.api.sse import Frame
from pipeline.host.verdicts import Finish, Pairs

Side = Literal["request", "response"]


class Mode(Enum):
    """How Envoy sends a body; the values are those of Envoy's `BodySendMode`."""

    NONE = 0
    STREAMED = 1
    BUFFERED = 2
    BUFFERED_PARTIAL = 3
    FULL_DUPLEX_STREAMED = 4


# --- what Envoy says


@dataclass(slots=True)
class Headers:
    """Request or response headers; `ends` when nothing follows."""

    side: Side
    pairs: Pairs = field(repr=False)
    ends: bool


@dataclass(slots=True)
class Body:
    """A piece of a body, or in the buffered modes all of it."""

    side: Side
    data: bytes = field(repr=False)
    ends: bool


@dataclass(slots=True)
class Trailers:
    """Trailers; they end their side."""

    side: Side


Message = Headers | Body | Trailers

# --- what must be decided


@dataclass(slots=True)
class AskBody:
    """Decide on a whole body."""

    side: Side
    body: bytes = field(repr=False)


@dataclass(slots=True)
class AskEvents:
    """Decide on complete events of a streamed response."""

    frames: list[Frame]
    ended: bool


@dataclass(slots=True)
class AskBytes:
    """Decide on a piece of a streamed response, its encoding undone."""

    data: bytes = field(repr=False)
    ended: bool


@dataclass(slots=True)
class AskFault:
    """Word a fault; the answer must be a Finish, or an Emit once a stream has begun."""

    status: int
    code: str
    message: str
    in_stream: bool = False


Ask = Headers | AskBody | AskEvents | AskBytes | AskFault
"""Headers as they came are a question of their own."""

# --- what is answered


@dataclass(slots=True)
class HeadersReply:
    """Answers headers.

    Args:
        side: whose headers.
        edits: changes to them.
        clear_route: Envoy must choose the route anew.
        report: dynamic metadata.
        override: body modes of request and response from here on, where they change.
        body: a body for what has none.
        hides_answer: with an override: response headers need not be sent either.
    """

    side: Side
    edits: HeaderEdits = NO_EDITS
    clear_route: bool = False
    report: Mapping[str, str] | None = field(default=None, repr=False)
    override: tuple[Mode, Mode] | None = None
    body: bytes | None = field(default=None, repr=False)
    hides_answer: bool = False


@dataclass(slots=True)
class BodyReply:
    """Answers one body message of a mode that wants one answer each.

    Args:
        side: whose body.
        data: what goes in its place; None leaves it as it is.
        edits: header edits, where headers are still held back (buffered modes).
        states_length: the content-length must say what `data` is; else Envoy answers 500.
        clear_route: Envoy must choose the route anew.
        report: dynamic metadata.
    """

    side: Side
    data: bytes | None = field(default=None, repr=False)
    edits: HeaderEdits = NO_EDITS
    clear_route: bool = False
    report: Mapping[str, str] | None = field(default=None, repr=False)
    states_length: bool = False


@dataclass(slots=True)
class ChunkReply:
    """A piece of body in FULL_DUPLEX_STREAMED, at most 62,000 bytes."""

    side: Side
    data: bytes = field(repr=False)
    ends: bool


@dataclass(slots=True)
class TrailersReply:
    """Answers trailers."""

    side: Side


@dataclass(slots=True)
class ImmediateReply:
    """Answers the client and ends the stream."""

    finish: Finish


Reply = HeadersReply | BodyReply | ChunkReply | TrailersReply | ImmediateReply
