"""Token counting: a call as for an answer, answered with the number of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.api.dialect import Dialect
from pipeline.api.text import Segment, Usage
from pipeline.dialects.anthropic_messages import AnthropicMessages
from pipeline.dialects.openai_chat import OpenAIChat
from pipeline.dialects.openai_prompts import prompt_segments, with_prompt_segments
from pipeline.dialects.openai_responses import OpenAIResponses
from pipeline.dialects.reading import LENIENT, STRICT
from pipeline.dialects.textless import TextlessAnswers

Json = dict[str, Any]

_PROMPTS = ("prompt", "text", "content")
"""Where vLLM, Cohere and llama.cpp have the text; they share the path."""


class AnthropicCountTokens(TextlessAnswers, AnthropicMessages):
    """Anthropic's count: `POST /v1/messages/count_tokens`."""

    name = "anthropic.count_tokens"
    paths = ("/v1/messages/count_tokens",)

    def usage(self, document: Json) -> Usage:
        """Return the count as input tokens."""
        return _counted(document, "input_tokens")


class OpenAIInputTokens(TextlessAnswers, OpenAIResponses):
    """OpenAI's count: `POST /v1/responses/input_tokens`."""

    name = "openai.input_tokens"
    paths = ("/v1/responses/input_tokens",)

    def usage(self, document: Json) -> Usage:
        """Return the count as input tokens."""
        return _counted(document, "input_tokens")


class VllmTokenize(TextlessAnswers, OpenAIChat):
    """vLLM's `POST /tokenize`, of a prompt or of a chat."""

    name = "vllm.tokenize"
    paths = ("/tokenize",)
    content_fields = OpenAIChat.content_fields | frozenset(_PROMPTS)

    def check(self, document: Json) -> None:
        """Raise InvalidCall for a field of the wrong type."""
        if document.get("messages") is not None:
            super().check(document)
        else:
            STRICT.field(document, (), "model", str)
            STRICT.field(document, (), "prompt", str, list)

    def segments(self, document: Json) -> tuple[Segment, ...]:
        """Find the prompt, or the messages' texts."""
        if document.get("messages") is not None:
            return super().segments(document)
        return tuple(prompt_segments(document, _prompt_field(document)))

    def with_segments(self, document: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite, insert and remove segments."""
        if document.get("messages") is not None:
            return super().with_segments(document, segments)
        found = self.segments(document)
        return with_prompt_segments(document, _prompt_field(document), found, segments)

    def usage(self, document: Json) -> Usage:
        """Return the count as input tokens."""
        return _counted(document, "count")


def _prompt_field(document: Json) -> str:
    return next((name for name in _PROMPTS if document.get(name) is not None), "prompt")


def _counted(document: Json, field: str) -> Usage:
    return Usage(LENIENT.field(document, (), field, int))


_: tuple[Dialect, ...] = (AnthropicCountTokens(), OpenAIInputTokens(), VllmTokenize())
