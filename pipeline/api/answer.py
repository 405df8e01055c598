"""The LLM's answer inside a response, whole, and the events of one as it streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pipeline.api.documents import is_same
from pipeline.api.text import Segment, ToolCall, Usage

if TYPE_CHECKING:
    from pipeline.api.dialect import Dialect


class Answer:
    """A whole answer, immutable; a streamed one is folded into this form.

    Args:
        dialect: the client API format of the document.
        document: the parsed JSON body. Owned by the answer: nobody writes to it.
        raw: the upstream's bytes while untouched, else None.
    """

    def __init__(
        self, dialect: Dialect, document: dict[str, Any], raw: bytes | None = None
    ) -> None:
        self.dialect = dialect
        self._document = document
        self._encoded = raw

    @property
    def document(self) -> Mapping[str, Any]:
        """The whole JSON body, read-only."""
        return MappingProxyType(self._document)

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """Every piece of text the model produced, in document order."""
        return self.dialect.answer_segments(self._document)

    @property
    def text(self) -> str:
        """All segments of kind `text`, joined."""
        return "".join(s.text or "" for s in self.segments if s.kind == "text")

    @cached_property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls the model made."""
        return self.dialect.tool_calls(self._document)

    @cached_property
    def finish_reason(self) -> str:
        """Why the model stopped, in the dialect's own word; empty when it does not say."""
        return self.dialect.finish_reason(self._document)

    @cached_property
    def usage(self) -> Usage:
        """Tokens as the provider counted them."""
        return self.dialect.usage(self._document)

    @property
    def model(self) -> str:
        """The model that answered, as the provider names it."""
        return str(self._document.get("model", ""))

    def replace(self, *, segments: Sequence[Segment]) -> Answer:
        """Return a new answer whose segments have new texts; those left out become empty.

        Raises:
            ValueError: a segment has no place (`at`) in this answer.
        """
        document = self.dialect.with_answer_segments(self._document, segments)
        return self if is_same(document, self._document) else Answer(self.dialect, document)

    def replayed(self, *, id: str, created_s: int) -> Answer:  # noqa: A002
        """Return this answer as if it had just been given: to a call that need not be paid again.

        Texts, reasoning and tool calls, with their ids, are the same. Usage is kept, and its input
        marked as read from a cache where the API has a word for that.

        Args:
            id: what makes it another answer; the dialect's own prefix (`chatcmpl-`) is put before.
            created_s: since the epoch, for an API that says when.
        """
        document = self.dialect.replayed(self._document, id=id, created_s=created_s)
        return Answer(self.dialect, document)

    def encode(self) -> bytes:
        """Return the body's bytes: the upstream's own when nothing changed."""
        if self._encoded is None:
            self._encoded = self.dialect.encode(self._document)
        return self._encoded

    def __repr__(self) -> str:
        return f"Answer({self.dialect.name}, finish_reason={self.finish_reason!r})"


class Event:
    """One complete event of a streamed answer, immutable.

    Args:
        dialect: the client API format of the stream.
        raw: the frame's bytes, blank line included; empty for the closing event of a stream that
            ended without its terminal frame.
        name: the SSE `event:` field, else empty.
        data: the parsed JSON of the `data:` field; None for a comment, a ping or `[DONE]`.
        closes: whether this is the stream's closing event. Every stream has exactly one: the
            dialect's terminal frame, or an empty one made by the host when that never came.
    """

    __slots__ = ("_segments", "closes", "data", "dialect", "name", "raw")

    def __init__(
        self,
        dialect: Dialect,
        raw: bytes,
        *,
        name: str = "",
        data: dict[str, Any] | None = None,
        closes: bool = False,
    ) -> None:
        self.dialect = dialect
        self.raw = raw
        self.name = name
        self.data = data
        self.closes = closes
        self._segments: tuple[Segment, ...] | None = None

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The pieces of text that this event adds; empty for one that adds none."""
        if self._segments is None:
            self._segments = self.dialect.event_segments(self.name, self.data)
        return self._segments

    @property
    def text(self) -> str:
        """The answer text that this event adds (kind `text` only), joined."""
        return "".join(s.text or "" for s in self.segments if s.kind == "text")

    @property
    def finish_reason(self) -> str:
        """Why the model stopped, on the event that says so; else empty."""
        return self.dialect.event_finish_reason(self.name, self.data)

    @property
    def usage(self) -> Usage | None:
        """The tokens counted so far, on events that say so."""
        return self.dialect.event_usage(self.name, self.data)

    def replace(self, *, segments: Sequence[Segment]) -> Event:
        """Return a new event whose segments have new texts; those left out become empty.

        Raises:
            ValueError: a segment has no place (`at`) in this event.
        """
        if self.data is None:
            return self
        data = self.dialect.with_event_segments(self.name, self.data, segments)
        if is_same(data, self.data):
            return self
        raw = self.dialect.encode_event(self.name, data)
        return Event(self.dialect, raw, name=self.name, data=data, closes=self.closes)

    def __repr__(self) -> str:
        return f"Event({self.dialect.name}, {len(self.raw)} bytes, closes={self.closes})"
