"""OpenAI embeddings: `POST /v1/embeddings`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.api.dialect import Dialect
from pipeline.api.text import Segment
from pipeline.dialects.openai_base import OpenAIFormat, check_common
from pipeline.dialects.openai_prompts import check_prompt, prompt_segments, with_prompt_segments
from pipeline.dialects.textless import TextlessAnswers

Json = dict[str, Any]


class OpenAIEmbeddings(TextlessAnswers, OpenAIFormat):
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


_: Dialect = OpenAIEmbeddings()
