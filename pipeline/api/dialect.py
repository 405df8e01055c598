"""What a client API format must be able to do; the formats themselves are in `dialects`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.api.text import Segment, Tool, ToolCall, Usage

if TYPE_CHECKING:
    from pipeline.api.answer import Event

Json = dict[str, Any]


class Restater(Protocol):
    """Keeps later events of a stream, which repeat texts, true to what was sent of them."""

    def received(self, event: Event) -> None:
        """See an event before the plugins do."""

    def __call__(self, event: Event) -> Event:
        """Return an outgoing event that repeats what was sent, or the same one."""


class Dialect(Protocol):
    """A client API format: pure functions over its JSON documents and stream events.

    No method writes to a document it is given; `with_…` return new documents that share what did
    not change. Unknown fields and key order survive everything.
    """

    @property
    def name(self) -> str:
        """Stable name, for instance `openai.chat`."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Request paths (no query) that speak this dialect, for instance `/v1/chat/completions`."""

    @property
    def content_fields(self) -> frozenset[str]:
        """Top-level request fields that hold text, tools, the model or the stream flag."""

    # --- requests
    def check(self, document: Json) -> None:
        """Raise InvalidCall when the document is no valid call: wrong types, missing fields.

        Lenient towards unknown fields and unknown part types; strict about what Dragoman reads.
        """

    def model(self, document: Json) -> str:
        """Return the model asked for, or an empty string."""

    def with_model(self, document: Json, model: str) -> Json:
        """Return the document asking for another model."""

    def segments(self, document: Json) -> tuple[Segment, ...]:
        """Find every text and attachment in document order."""

    def with_segments(self, document: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite, insert and remove segments; see `Call.replace`."""

    def tools(self, document: Json) -> tuple[Tool, ...]:
        """Find the tools offered."""

    def encode(self, document: Json) -> bytes:
        """Return the document as JSON bytes."""

    # --- whole answers
    def answer_segments(self, document: Json) -> tuple[Segment, ...]:
        """Find every text that the model produced."""

    def with_answer_segments(self, document: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite the texts of an answer in place."""

    def tool_calls(self, document: Json) -> tuple[ToolCall, ...]:
        """Find the tool calls of an answer."""

    def finish_reason(self, document: Json) -> str:
        """Return why the model stopped, in the dialect's word."""

    def usage(self, document: Json) -> Usage:
        """Return the tokens counted."""

    def compose(self, text: str, *, model: str, id: str, created_s: int) -> Json:  # noqa: A002
        """Return a complete answer document saying `text`."""

    def replayed(self, document: Json, *, id: str, created_s: int) -> Json:  # noqa: A002
        """Return a stored answer as a fresh one, with all that the model produced as it is.

        Args:
            document: the answer.
            id: of the fresh one; the dialect's prefix is put before it unless it is there.
            created_s: since the epoch.
        """

    # --- streamed answers
    def decode_event(self, raw: bytes, name: str, data: str | None) -> Event:
        """Read one SSE frame.

        Args:
            raw: the frame's bytes as received, with its blank line.
            name: the `event:` field, else empty.
            data: the joined `data:` fields, None when the frame has none (a comment).
        """

    def encode_event(self, name: str, data: Json) -> bytes:
        """Return one SSE frame."""

    def event_segments(self, name: str, data: Json | None) -> tuple[Segment, ...]:
        """Find the texts that an event adds."""

    def with_event_segments(self, name: str, data: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite the texts of an event in place."""

    def event_finish_reason(self, name: str, data: Json | None) -> str:
        """Return why the model stopped, on the event that says so."""

    def event_usage(self, name: str, data: Json | None) -> Usage | None:
        """Return the tokens that an event states, if it states any."""

    def fold(self, events: Iterable[Event]) -> Json:
        """Join a stream's events into the answer document that an unstreamed call would get."""

    def unfold(self, document: Json, request: Json | None = None) -> list[Event]:
        """Split an answer document into the events that a streamed call would get.

        Args:
            document: the answer.
            request: the call; events that a client must ask for are left out where it did not.
        """

    def restate(self) -> Restater | None:
        """Return what keeps one stream's repeated texts consistent; None where none repeats."""

    # --- errors
    def error(self, *, status: int, code: str, message: str, param: str | None = None) -> Json:
        """Return the format's error document; `code` is stable, `message` is for people."""

    def error_events(self, *, status: int, code: str, message: str) -> list[Event]:
        """Return the events that end a stream with an error."""
