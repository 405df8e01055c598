"""Mistral's API: chat, fill in the middle, and embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from pipeline.api import Backend, Headers, InvalidCall, PluginConfig
from plugins.translate.canonical import CanonicalCall, Fields, Json, Loss, Operation
from plugins.translate.credentials.keys import bearer
from plugins.translate.formats import Fault, Framing, Native, Outgoing, ProviderSpec, StreamDecoder
from plugins.translate.upstreams.mistral_answer import (
    MistralDecoder,
    completion_answer,
    mistral_answer,
)
from plugins.translate.upstreams.mistral_request import mistral_body
from plugins.translate.upstreams.openai_errors import response_fault

_FIM = ("temperature", "top_p", "max_tokens", "min_tokens", "stop", "suffix", "metadata")


class MistralOptions(PluginConfig):
    """What a backend of Mistral takes beside the common keys."""

    safe_prompt: bool = Field(
        default=False, description="Put Mistral's safety prompt before every chat."
    )


class MistralUpstream:
    """Mistral's format.

    Args:
        options: whether to ask for the safety prompt.
    """

    operations: frozenset[Operation] = frozenset({"chat", "completion", "embedding"})
    native: Mapping[str, Native] = {}
    framing: Framing = "sse"

    def __init__(self, options: MistralOptions) -> None:
        self._options = options

    def request(self, call: CanonicalCall, loss: Loss) -> Outgoing:
        """Return the request for a canonical call."""
        if call.operation == "chat":
            body = mistral_body(call, loss)
            if self._options.safe_prompt:
                body.setdefault("safe_prompt", True)
            return Outgoing("/chat/completions", body)
        if call.operation == "completion":
            return Outgoing("/fim/completions", _fill_in(call, loss))
        return Outgoing("/embeddings", _embedding(call, loss))

    def answer(self, document: Json, call: CanonicalCall) -> Json:
        """Return the canonical answer."""
        if call.operation == "chat":
            return mistral_answer(document)
        if call.operation == "completion":
            return completion_answer(document)
        if not isinstance(document["data"], list):
            raise ValueError("no vectors")  # noqa: TRY004 - the wire's types, not ours
        return document

    def decoder(self, call: CanonicalCall) -> StreamDecoder:
        """Return a reader of the stream."""
        return MistralDecoder(is_completion=call.operation == "completion")

    def fault(self, status: int, headers: Headers, body: bytes) -> Fault:
        """Read an error response."""
        return response_fault(status, headers, body)


def _fill_in(call: CanonicalCall, loss: Loss) -> Json:
    fields = Fields(call.document, loss)
    fields.ignore("model", "stream_options", "store")
    if fields.take("n", 1) != 1:
        fields.lose("n")
    body: Json = {"model": call.model, "prompt": _one_text(fields.take("prompt"), "prompt")}
    for name in _FIM:
        if (value := fields.take(name)) is not None:
            body[name] = value
    for name in ("seed", "random_seed"):
        if (value := fields.take(name)) is not None:
            body["random_seed"] = value
    if fields.take("stream"):
        body["stream"] = True
    if fields.take("echo"):
        fields.lose("echo")
    fields.finish()
    return body


def _embedding(call: CanonicalCall, loss: Loss) -> Json:
    fields = Fields(call.document, loss)
    fields.ignore("model", "encoding_format")  # the client's adapter packs vectors itself
    asked = fields.take("input")
    texts = asked if isinstance(asked, list) else [asked]
    if not all(isinstance(text, str) for text in texts):
        raise _no_tokens("input")
    body: Json = {"model": call.model, "input": asked}
    if (dimensions := fields.take("dimensions")) is not None:
        body["output_dimension"] = dimensions
    for name in ("output_dimension", "output_dtype", "metadata"):
        if (value := fields.take(name)) is not None:
            body[name] = value
    fields.finish()
    return body


def _one_text(prompt: Any, field: str) -> str:
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], str):
        message = "the backend takes one prompt at a time"
        raise InvalidCall(message, code="unsupported_by_backend", param=field)
    raise _no_tokens(field)


def _no_tokens(field: str) -> InvalidCall:
    message = "the backend takes text, not tokens"
    return InvalidCall(message, code="unsupported_by_backend", param=field)


def _upstream(backend: Backend) -> MistralUpstream:
    options = backend.options
    return MistralUpstream(options if isinstance(options, MistralOptions) else MistralOptions())


SPEC = ProviderSpec(
    name="mistral",
    options=MistralOptions,
    default_url=lambda _: "https://api.mistral.ai/v1",
    upstream=_upstream,
    credential=lambda backend: bearer(backend.api_key),
    passes_other=True,
)
