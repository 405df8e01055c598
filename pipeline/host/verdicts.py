"""What the host answers to each thing that a stream asks it to decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from pipeline.api.headers import NO_EDITS, HeaderEdits
from pipeline.api.sse import Frame

Pairs = tuple[tuple[str, bytes], ...]
Wish = Literal["skip", "whole", "events", "bytes"]


@dataclass(slots=True)
class Proceed:
    """Let the message go on, perhaps changed.

    Args:
        edits: header edits of the side that the message belongs to.
        body: the new body, or None to forward it byte for byte. With response headers that nothing
            follows, a body where there was none.
        clear_route: Envoy must choose the route anew: something that routes changed.
        report: dynamic metadata for Envoy, flat.
        wish: what the host wants of the body that follows; headers only.
        encoding: content-encoding to undo before events or bytes are seen.
        hides_answer: with request headers: Envoy need not show the answer, not even its headers.
    """

    edits: HeaderEdits = NO_EDITS
    body: bytes | None = field(default=None, repr=False)
    clear_route: bool = False
    report: Mapping[str, str] | None = field(default=None, repr=False)
    wish: Wish = "skip"
    encoding: str = ""
    hides_answer: bool = False


@dataclass(slots=True)
class Finish:
    """Answer the client here and now.

    Args:
        status: HTTP status.
        headers: response headers.
        body: the response body.
        code: stable word for Envoy's access log.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    code: str


@dataclass(slots=True)
class Emit:
    """What goes to the client for the events just seen.

    Args:
        data: bytes, perhaps none.
        is_original: `data` is exactly what the events' bytes were.
        end: drop whatever else the upstream sends.
    """

    data: bytes = field(repr=False)
    is_original: bool
    end: bool = False


Verdict = Proceed | Finish
PROCEED = Proceed()


class Handler(Protocol):
    """Decides for one stream; one per level."""

    async def request_headers(
        self, pairs: Pairs, *, ends: bool, attributes: Mapping[str, str]
    ) -> Verdict:
        """Decide on the request's headers; `ends` when no body follows."""

    async def request_body(self, body: bytes) -> Verdict:
        """Decide on the whole request body."""

    async def response_headers(
        self, pairs: Pairs, *, ends: bool, attributes: Mapping[str, str]
    ) -> Verdict:
        """Decide on the response's headers."""

    async def response_body(self, body: bytes) -> Verdict:
        """Decide on the whole response body."""

    async def response_events(self, frames: list[Frame], *, ended: bool) -> Emit:
        """Decide on complete events of a streamed response; `ended` once, with the last."""

    async def response_bytes(self, data: bytes, *, ended: bool) -> Emit:
        """Decide on a piece of a streamed response; `ended` once, with the last."""

    def fault(self, *, status: int, code: str, message: str) -> Finish:
        """Word a fault that the stream found, in the client's own API format."""

    def fault_in_stream(self, *, status: int, code: str, message: str) -> Emit:
        """Word a fault of a stream whose headers, and perhaps events, the client has already."""

    async def complete(self, *, cancelled: bool) -> None:
        """End the exchange; called exactly once."""
