"""OpenAI embeddings: `POST /v1/embeddings`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.api.answer import Event
from pipeline.api.dialect import Dialect
from pipeline.api.text import Segment
from pipeline.dialects.openai_base import OpenAIFormat, as_events, check_common, with_texts
from pipeline.dialects.openai_prompts import check_prompt, prompt_segments, with_prompt_segments

Json = dict[str, Any]


class OpenAIEmbeddings(OpenAIFormat):
    """OpenAI's embeddings API, whose answers hold vectors and no text, and never stream."""

    name = "openai.embeddings"
    paths = ("/v1/embeddings",)
    content_fields = frozenset({"model", "stream", "input"})

    def check(self, document: Json) -> None:
        """Raise InvalidCall for a field of the wrong type, or when there is no input."""
        check_common(document)
        check_prompt(document, "input")

    def segments(self, document: Json) -> tuple[Segment, ...]:
        """Find the texts to embed."""
        return tuple(prompt_segments(document, "input"))

    def with_segments(self, document: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite and remove segments; a new one joins the input that it stands before."""
        return with_prompt_segments(document, "input", self.segments(document), segments)

    def answer_segments(self, document: Json) -> tuple[Segment, ...]:  # noqa: ARG002
        """Find nothing: an answer holds vectors."""
        return ()

    def with_answer_segments(self, document: Json, segments: Sequence[Segment]) -> Json:
        """Return the document: there is no text to rewrite."""
        return with_texts(document, (), segments)

    def compose(self, text: str, *, model: str, id: str, created_s: int) -> Json:  # noqa: A002, ARG002
        """Refuse: an embedding cannot say a text.

        Raises:
            ValueError: always.
        """
        raise ValueError("an answer in openai.embeddings holds vectors and cannot say a text")

    def event_segments(self, name: str, data: Json | None) -> tuple[Segment, ...]:  # noqa: ARG002
        """Find nothing: an answer holds vectors."""
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

    def unfold(self, document: Json, request: Json | None = None) -> list[Event]:  # noqa: ARG002
        """Return the document as one event."""
        return as_events(self, [document])


_: Dialect = OpenAIEmbeddings()
