"""Anthropic's Messages API, and what its hosts share of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field

from pipeline.api import Backend, Call, Headers, PluginConfig
from plugins.translate.canonical import CanonicalCall, Json, Loss, Operation
from plugins.translate.credentials.keys import KeyCredential
from plugins.translate.formats import Fault, Framing, Outgoing, ProviderSpec, StreamDecoder
from plugins.translate.upstreams.anthropic_answer import canonical_answer
from plugins.translate.upstreams.anthropic_errors import response_fault
from plugins.translate.upstreams.anthropic_parts import Platform
from plugins.translate.upstreams.anthropic_request import message_body
from plugins.translate.upstreams.anthropic_stream import MessageDecoder
from plugins.translate.upstreams.anthropic_words import count

COUNT_DIALECT = "anthropic.count_tokens"


class AnthropicOptions(PluginConfig):
    """What a backend of Anthropic takes beside the common keys."""

    anthropic_version: str = Field(
        default="2023-06-01",
        description="Version of the API for translated calls; `2026-10-21` refuses `temperature`.",
    )
    anthropic_beta: tuple[str, ...] = Field(
        default=(), description="Beta features for translated calls."
    )


class ClaudeUpstream:
    """What every host of Claude has in common: bodies, answers, streams and errors.

    Args:
        platform: what the host takes.
        now_s: the clock, in Unix seconds; canonical answers say when they were made.
    """

    operations: frozenset[Operation] = frozenset({"chat", "count_tokens"})
    native = frozenset({"anthropic.messages", COUNT_DIALECT})
    framing: Framing = "sse"
    rewrites_native = True

    def __init__(self, platform: Platform, now_s: Callable[[], float] = time.time) -> None:
        self._platform = platform
        self._now_s = now_s

    def answer(self, document: Json, call: CanonicalCall) -> Json:
        """Return the canonical answer for a message or a count."""
        if call.operation == "count_tokens":
            return {"input_tokens": count(document, "input_tokens")}
        return canonical_answer(document, model=call.model, created_s=int(self._now_s()))

    def decoder(self, call: CanonicalCall) -> StreamDecoder:
        """Return a reader of the stream."""
        return MessageDecoder(model=call.model, created_s=int(self._now_s()))

    def fault(self, status: int, headers: Headers, body: bytes) -> Fault:
        """Read an error response."""
        return response_fault(status, headers, body)

    def _body(self, call: CanonicalCall, loss: Loss) -> Json:
        return message_body(call, loss, self._platform)


class AnthropicUpstream(ClaudeUpstream):
    """Anthropic's own API.

    Args:
        options: version and beta features.
        now_s: the clock, in Unix seconds.
    """

    rewrites_native = False

    def __init__(self, options: AnthropicOptions, now_s: Callable[[], float] = time.time) -> None:
        super().__init__(Platform(), now_s)
        self._headers: Mapping[str, str] = {
            "anthropic-version": options.anthropic_version,
            **(
                {"anthropic-beta": ",".join(options.anthropic_beta)}
                if options.anthropic_beta
                else {}
            ),
        }

    def native_request(self, call: Call, model: str) -> Outgoing:
        """Return the call as it is at Anthropic's path; version and betas are the client's own."""
        return Outgoing(
            _path(call.dialect.name == COUNT_DIALECT), {**call.document, "model": model}
        )

    def request(self, call: CanonicalCall, loss: Loss) -> Outgoing:
        """Return the request for a canonical call."""
        is_count = call.operation == "count_tokens"
        document: dict[str, Any] = {"model": call.model, **self._body(call, loss)}
        if call.stream and not is_count:
            document["stream"] = True
        return Outgoing(_path(is_count), document, self._headers)


def _path(is_count: bool) -> str:
    return "/messages/count_tokens" if is_count else "/messages"


def _upstream(backend: Backend) -> AnthropicUpstream:
    options = backend.options
    assert isinstance(options, AnthropicOptions)  # noqa: S101 - made from SPEC.options
    return AnthropicUpstream(options)


SPEC = ProviderSpec(
    name="anthropic",
    options=AnthropicOptions,
    default_url=lambda _: "https://api.anthropic.com/v1",
    upstream=_upstream,
    credential=lambda backend: KeyCredential(backend.api_key, header="x-api-key"),
    passes_other=True,
)
