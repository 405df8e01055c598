"""OpenAI completions: `POST /v1/completions`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.api.answer import Event
from pipeline.api.dialect import Dialect
from pipeline.api.text import Segment
from pipeline.dialects import openai_stream as stream
from pipeline.dialects.openai_base import (
    NO_USAGE,
    OpenAIFormat,
    as_events,
    check_common,
    with_texts,
)
from pipeline.dialects.openai_messages import objects
from pipeline.dialects.openai_prompts import check_prompt, prompt_segments, with_prompt_segments
from pipeline.dialects.reading import STRICT

Json = dict[str, Any]


class OpenAICompletions(OpenAIFormat):
    """OpenAI's completions API, which goes on from a prompt."""

    name = "openai.completions"
    id_prefix = "cmpl-"
    paths = ("/v1/completions",)
    content_fields = frozenset({"model", "stream", "prompt", "suffix"})

    # --- requests
    def check(self, document: Json) -> None:
        """Raise InvalidCall for a field of the wrong type, or when there is no prompt."""
        check_common(document)
        check_prompt(document, "prompt")
        STRICT.field(document, (), "suffix", str)

    def segments(self, document: Json) -> tuple[Segment, ...]:
        """Find the prompts, then the suffix."""
        found = prompt_segments(document, "prompt")
        if isinstance(document.get("suffix"), str):
            found.append(Segment("user", document["suffix"], at=("suffix",)))
        return tuple(found)

    def with_segments(self, document: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite and remove segments; a new one joins the prompt that it stands before."""
        return with_prompt_segments(document, "prompt", self.segments(document), segments)

    # --- whole answers
    def answer_segments(self, document: Json) -> tuple[Segment, ...]:
        """Find every text that the model produced."""
        return tuple(
            Segment("assistant", choice["text"], at=("choices", index, "text"))
            for index, choice in objects(document.get("choices"))
            if isinstance(choice.get("text"), str)
        )

    def with_answer_segments(self, document: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite the texts of an answer in place."""
        return with_texts(document, self.answer_segments(document), segments)

    def compose(self, text: str, *, model: str, id: str, created_s: int) -> Json:  # noqa: A002
        """Return a complete answer document saying `text`."""
        choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": "stop"}
        return {
            "id": id,
            "object": "text_completion",
            "created": created_s,
            "model": model,
            "choices": [choice],
            "usage": {**NO_USAGE},
        }

    # --- streamed answers
    def event_segments(self, name: str, data: Json | None) -> tuple[Segment, ...]:  # noqa: ARG002
        """Find the texts that an event adds."""
        return tuple(s for s in self.answer_segments(data or {}) if s.text)

    def with_event_segments(
        self,
        name: str,  # noqa: ARG002
        data: Json,
        segments: Sequence[Segment],
    ) -> Json:
        """Rewrite the texts of an event in place: a chunk has the shape of an answer."""
        return self.with_answer_segments(data, segments)

    def fold(self, events: Iterable[Event]) -> Json:
        """Join a stream's events into the answer document that an unstreamed call would get."""
        return stream.fold(events, "text_completion")

    def unfold(self, document: Json, request: Json | None = None) -> list[Event]:
        """Split an answer document into the events that a streamed call would get."""
        shown = stream.without_unasked_usage(document, request)
        return as_events(self, stream.unfold(shown, "text_completion", _split_choice))


def _split_choice(choice: Json) -> list[Json]:
    last = {**choice, "text": ""}
    if "logprobs" in choice:
        last["logprobs"] = None
    return [{**choice, "finish_reason": None}, last]


_: Dialect = OpenAICompletions()
