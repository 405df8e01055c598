"""Gemini's API at Google AI Studio, and what Vertex AI shares of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import quote

from pydantic import Field

from pipeline.api import Backend, Headers, PluginConfig
from plugins.translate.canonical import CanonicalCall, Json, Loss, Operation
from plugins.translate.credentials.keys import KeyCredential
from plugins.translate.formats import Fault, Framing, Native, Outgoing, ProviderSpec, StreamDecoder
from plugins.translate.upstreams.anthropic_words import count
from plugins.translate.upstreams.gemini_answer import canonical_answer
from plugins.translate.upstreams.gemini_embedding import batch_body, canonical_embeddings
from plugins.translate.upstreams.gemini_errors import response_fault
from plugins.translate.upstreams.gemini_request import Platform, content_body
from plugins.translate.upstreams.gemini_stream import ContentDecoder

_COUNTED = ("contents", "systemInstruction", "tools")
"""What both hosts count; AI Studio, whose count takes a whole request, counts the rest too."""
_COUNTED_TOO = ("toolConfig", "cachedContent")


class SafetySetting(PluginConfig):
    """From which probability on a kind of harm is blocked."""

    category: str = Field(description="Kind of harm, for instance `HARM_CATEGORY_HARASSMENT`.")
    threshold: str = Field(description="What is blocked, for instance `BLOCK_ONLY_HIGH`.")


class ContentOptions(PluginConfig):
    """What every backend of Gemini takes beside the common keys."""

    safety_settings: tuple[SafetySetting, ...] = Field(
        default=(), description="Safety settings of calls that bring none of their own."
    )
    cached_content: str = Field(
        default="", description="Cached content that calls without their own go on from."
    )


class GeminiOptions(ContentOptions):
    """What a backend of Google AI Studio takes beside the common keys."""

    key_in: Literal["header", "query"] = Field(
        default="header", description="Whether the API key goes in `x-goog-api-key` or in `?key=`."
    )


class ContentUpstream:
    """What both hosts of Gemini have in common: bodies, answers, streams and errors.

    Args:
        platform: what the host takes.
        now_s: the clock, in Unix seconds; canonical answers say when they were made.
    """

    operations: frozenset[Operation] = frozenset({"chat", "embedding", "count_tokens"})
    native: Mapping[str, Native] = {}
    framing: Framing = "sse"

    def __init__(self, platform: Platform, now_s: Callable[[], float] = time.time) -> None:
        self._platform = platform
        self._now_s = now_s

    def answer(self, document: Json, call: CanonicalCall) -> Json:
        """Return the canonical answer."""
        if call.operation == "count_tokens":
            return {"input_tokens": count(document, "totalTokens")}
        if call.operation == "embedding":
            return canonical_embeddings(document, call.model)
        return canonical_answer(document, model=call.model, created_s=int(self._now_s()))

    def decoder(self, call: CanonicalCall) -> StreamDecoder:
        """Return a reader of the stream."""
        return ContentDecoder(model=call.model, created_s=int(self._now_s()))

    def fault(self, status: int, headers: Headers, body: bytes) -> Fault:
        """Read an error response."""
        return response_fault(status, headers, body)


class GeminiUpstream(ContentUpstream):
    """Google AI Studio.

    Args:
        options: safety settings and cached content.
        now_s: the clock, in Unix seconds.
    """

    def __init__(self, options: GeminiOptions, now_s: Callable[[], float] = time.time) -> None:
        super().__init__(platform_of(options), now_s)

    def request(self, call: CanonicalCall, loss: Loss) -> Outgoing:
        """Return the request for a canonical call."""
        model = call.model if "/" in call.model else f"models/{call.model}"
        path = f"/{quote(model, safe='/')}"
        if call.operation == "embedding":
            return Outgoing(f"{path}:batchEmbedContents", batch_body(call, loss, model))
        body = content_body(call, loss, self._platform)
        if call.operation == "count_tokens":
            counted = {"model": model, **counted_body(body, _COUNTED_TOO)}
            return Outgoing(f"{path}:countTokens", {"generateContentRequest": counted})
        return Outgoing(path + verb(stream=call.stream), body)


def platform_of(options: ContentOptions, **abilities: bool) -> Platform:
    """Return the platform of a backend's options and its host's abilities."""
    settings = [one.model_dump() for one in options.safety_settings]
    return Platform(safety_settings=settings, cached_content=options.cached_content, **abilities)


def counted_body(body: Json, beside: tuple[str, ...] = ()) -> Json:
    """Return what of a body counts as input: what every host takes in a count, and more."""
    return {name: body[name] for name in (*_COUNTED, *beside) if name in body}


def verb(*, stream: bool) -> str:
    """Return the end of the path that generates content."""
    return ":streamGenerateContent?alt=sse" if stream else ":generateContent"


def _options(backend: Backend) -> GeminiOptions:
    options = backend.options
    assert isinstance(options, GeminiOptions)  # noqa: S101 - made from SPEC.options
    return options


def _credential(backend: Backend) -> KeyCredential:
    if _options(backend).key_in == "query":
        return KeyCredential(backend.api_key, header="", query="key")
    return KeyCredential(backend.api_key, header="x-goog-api-key")


SPEC = ProviderSpec(
    name="gemini",
    options=GeminiOptions,
    default_url=lambda _: "https://generativelanguage.googleapis.com/v1beta",
    upstream=lambda backend: GeminiUpstream(_options(backend)),
    credential=_credential,
)
