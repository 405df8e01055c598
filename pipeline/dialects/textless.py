"""Answers that hold no text: vectors, scores, counts. They never stream, and cannot be made up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.api.answer import Event
from pipeline.api.dialect import Dialect
from pipeline.api.text import Segment, ToolCall
from pipeline.dialects.openai_base import as_events, with_texts

Json = dict[str, Any]


class TextlessAnswers:
    """The answer's part of a dialect that answers in numbers."""

    def answer_segments(self, document: Json) -> tuple[Segment, ...]:  # noqa: ARG002
        """Find nothing: an answer holds numbers."""
        return ()

    def with_answer_segments(self, document: Json, segments: Sequence[Segment]) -> Json:
        """Return the document: there is no text to rewrite."""
        return with_texts(document, (), segments)

    def tool_calls(self, document: Json) -> tuple[ToolCall, ...]:  # noqa: ARG002
        """Find nothing: no model was asked to call a tool."""
        return ()

    def finish_reason(self, document: Json) -> str:  # noqa: ARG002
        """Return an empty string: no model wrote anything."""
        return ""

    def compose(
        self: Dialect,
        text: str,  # noqa: ARG002
        *,
        model: str,  # noqa: ARG002
        id: str,  # noqa: A002, ARG002
        created_s: int,  # noqa: ARG002
    ) -> Json:
        """Refuse: numbers cannot say a text.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"an answer in {self.name} holds numbers and cannot say a text")

    def replayed(self, document: Json, *, id: str, created_s: int) -> Json:  # noqa: A002
        """Return a stored answer as a fresh one: with its id and time, where the server gives any.

        No such API has a word for what was cached.
        """
        fresh = {"id": id, "created": created_s}
        return {key: fresh.get(key, value) for key, value in document.items()}

    def event_segments(self, name: str, data: Json | None) -> tuple[Segment, ...]:  # noqa: ARG002
        """Find nothing: an answer holds numbers."""
        return ()

    def with_event_segments(
        self,
        name: str,  # noqa: ARG002
        data: Json,
        segments: Sequence[Segment],
    ) -> Json:
        """Return the event: there is no text to rewrite."""
        return with_texts(data, (), segments)

    def fold(self, events: Iterable[Event]) -> Json:
        """Return the one document that `unfold` made an event of."""
        return next((event.data for event in events if event.data is not None), {})

    def unfold(self: Dialect, document: Json, request: Json | None = None) -> list[Event]:  # noqa: ARG002
        """Return the document as one event."""
        return as_events(self, [document])
