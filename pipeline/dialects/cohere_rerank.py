"""Rerank as Cohere defined it and many servers copied it: `POST /v1/rerank`, `/v2/rerank`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pipeline.api.dialect import Dialect
from pipeline.api.text import Segment, Usage
from pipeline.dialects.openai_base import OpenAIFormat
from pipeline.dialects.openai_prompts import with_prompt_segments
from pipeline.dialects.reading import LENIENT, STRICT
from pipeline.dialects.textless import TextlessAnswers
from pipeline.errors import InvalidCall

Json = dict[str, Any]


class CohereRerank(TextlessAnswers, OpenAIFormat):
    """Cohere's rerank API, whose answers hold scores by the documents' places."""

    name = "cohere.rerank"
    paths = ("/v1/rerank", "/v2/rerank")
    content_fields = frozenset({"model", "query", "documents"})

    def check(self, document: Json) -> None:
        """Raise InvalidCall for a field of the wrong type, or without query or documents."""
        STRICT.field(document, (), "model", str)
        STRICT.field(document, (), "query", str, required=True)
        documents = STRICT.field(document, (), "documents", list, required=True)
        for index, one in enumerate(documents):
            if not isinstance(one, (str, dict)):
                place = f"documents[{index}]"
                text = f"{place} must be a string or an object"
                raise InvalidCall(text, code="invalid_type", param=place)

    def segments(self, document: Json) -> tuple[Segment, ...]:
        """Find the query, then the documents: a string, or every text field of an object."""
        return tuple(_segments(document))

    def with_segments(self, document: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite the texts; a new one joins the query, and a removed document becomes empty.

        It keeps its place: answers name documents by their places.
        """
        found = self.segments(document)
        kept = {segment.at for segment in segments}
        emptied = [
            replace(segment, text="")
            for segment in found
            if segment.at != ("query",) and segment.at not in kept
        ]
        return with_prompt_segments(document, "query", found, [*segments, *emptied])

    def usage(self, document: Json) -> Usage:
        """Return the tokens counted, where the server counts tokens."""
        meta = LENIENT.field(document, (), "meta", dict) or {}
        counted = LENIENT.field(meta, (), "tokens", dict) or {}
        usage = LENIENT.field(document, (), "usage", dict) or {}
        read = LENIENT.field(counted, (), "input_tokens", int)
        if read is None:
            read = LENIENT.field(usage, (), "prompt_tokens", int)
        if read is None:
            read = LENIENT.field(usage, (), "total_tokens", int)
        return Usage(read, LENIENT.field(counted, (), "output_tokens", int))

    def error(self, *, status: int, code: str, message: str, param: str | None = None) -> Json:  # noqa: ARG002
        """Return Cohere's error document, with our `code` and `param` beside its `message`."""
        fault = {"message": message, "code": code}
        return {**fault, "param": param} if param else fault


def _segments(document: Json) -> Iterator[Segment]:
    query = LENIENT.field(document, (), "query", str)
    if query is not None:
        yield Segment("user", query, at=("query",))
    for index, one in enumerate(LENIENT.field(document, (), "documents", list) or ()):
        if isinstance(one, str):
            yield Segment("user", one, at=("documents", index))
        elif isinstance(one, dict):
            for field, value in one.items():
                if isinstance(value, str):
                    yield Segment("user", value, at=("documents", index, field))


_: Dialect = CohereRerank()
