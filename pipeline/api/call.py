"""The LLM call inside a request: one immutable value whatever the client's API format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pipeline.api.documents import is_same
from pipeline.api.text import Attachment, Segment, Tool

if TYPE_CHECKING:
    from pipeline.api.dialect import Dialect

_ABSENT: Any = object()


class Call:
    """An LLM call as its client wrote it; `replace` gives a new one, this one never changes.

    Args:
        dialect: the client API format of the document.
        document: the parsed JSON body. Owned by the call: nobody writes to it.
        raw: the client's bytes while the document is untouched, else None.
    """

    def __init__(self, dialect: Dialect, document: dict[str, Any], raw: bytes | None) -> None:
        self.dialect = dialect
        self._document = document
        self._raw = raw
        self._encoded = raw
        self._segments: tuple[Segment, ...] | None = None

    @property
    def document(self) -> Mapping[str, Any]:
        """The whole JSON body, read-only; prefer the named properties where one fits."""
        return MappingProxyType(self._document)

    @property
    def model(self) -> str:
        """The model asked for; empty when the body names none."""
        return self.dialect.model(self._document)

    @property
    def stream(self) -> bool:
        """Whether the client asked for a streamed answer."""
        return self._document.get("stream") is True

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Every piece of text and every attachment, in document order."""
        if self._segments is None:
            self._segments = self.dialect.segments(self._document)
        return self._segments

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """The images, audio and files among the segments."""
        return tuple(s.attachment for s in self.segments if s.attachment is not None)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools offered to the model."""
        return self.dialect.tools(self._document)

    @property
    def params(self) -> Mapping[str, Any]:
        """Every top-level field that is neither text, tools, model nor the stream flag."""
        hidden = self.dialect.content_fields
        return MappingProxyType({k: v for k, v in self._document.items() if k not in hidden})

    @property
    def is_untouched(self) -> bool:
        """Whether `encode` gives the client's own bytes."""
        return self._raw is not None

    def replace(
        self,
        *,
        model: str = _ABSENT,
        stream: bool = _ABSENT,
        segments: Sequence[Segment] = _ABSENT,
        set_params: Mapping[str, Any] = MappingProxyType({}),
        remove_params: Sequence[str] = (),
    ) -> Call:
        """Return a new call with the named parts changed and all else, order included, kept.

        Args:
            model: the model to ask for.
            stream: whether to stream.
            segments: the whole new list. A segment with `at` is rewritten in place; one without
                becomes a message of its role where it stands in the list; a segment of the call
                that the list leaves out is removed, with its message when nothing else is in it.
            set_params: top-level fields to set.
            remove_params: top-level fields to remove.

        Raises:
            ValueError: the dialect cannot carry a segment, for instance a tool result in a
                completion prompt.
        """
        document = self._document
        if segments is not _ABSENT:
            document = self.dialect.with_segments(document, segments)
        changes: dict[str, Any] = dict(set_params)
        if stream is not _ABSENT:
            changes["stream"] = stream
        if changes or remove_params:
            document = {k: v for k, v in document.items() if k not in remove_params} | changes
        if model is not _ABSENT:
            document = self.dialect.with_model(document, model)
        is_unchanged = is_same(document, self._document)
        return self if is_unchanged else Call(self.dialect, document, None)

    def encode(self) -> bytes:
        """Return the body's bytes: the client's own when nothing changed."""
        if self._encoded is None:
            self._encoded = self.dialect.encode(self._document)
        return self._encoded

    def __repr__(self) -> str:
        return f"Call({self.dialect.name}, model={self.model!r}, stream={self.stream})"
