"""Anthropic's Messages API, and what its hosts share of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import Field

from pipeline.api import Backend, Headers, PluginConfig
from plugins.translate.canonical import CanonicalCall, Json, Loss, Operation
from plugins.translate.client_headers import BETA_HEADER, VERSION_HEADER, beta_features
from plugins.translate.credentials.contract import Signed, Unsigned
from plugins.translate.credentials.keys import KeyCredential, bearer
from plugins.translate.formats import Fault, Framing, Native, Outgoing, ProviderSpec, StreamDecoder
from plugins.translate.upstreams.anthropic_answer import canonical_answer
from plugins.translate.upstreams.anthropic_errors import response_fault
from plugins.translate.upstreams.anthropic_native import without_others_words
from plugins.translate.upstreams.anthropic_parts import Platform
from plugins.translate.upstreams.anthropic_request import message_body
from plugins.translate.upstreams.anthropic_stream import MessageDecoder
from plugins.translate.upstreams.anthropic_words import count

COUNT_DIALECT = "anthropic.count_tokens"
_OAUTH_TOKEN = "sk-ant-oat"  # noqa: S105 - how all of them begin


class AnthropicOptions(PluginConfig):
    """What a backend of Anthropic takes beside the common keys."""

    anthropic_version: str = Field(
        default="2023-06-01",
        description="Version of the API for translated calls, and for clients' own that name none; "
        "`2026-10-21` refuses `temperature`.",
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
    framing: Framing = "sse"

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

    native: Mapping[str, Native] = dict.fromkeys(
        ("anthropic.messages", COUNT_DIALECT), Native(clean=without_others_words)
    )

    def __init__(self, options: AnthropicOptions, now_s: Callable[[], float] = time.time) -> None:
        super().__init__(Platform(), now_s)
        self._version = options.anthropic_version
        self._betas = options.anthropic_beta

    def request(self, call: CanonicalCall, loss: Loss) -> Outgoing:
        """Return the request for a canonical call."""
        is_count = call.operation == "count_tokens"
        document: dict[str, Any] = {"model": call.model, **self._body(call, loss)}
        if call.stream and not is_count:
            document["stream"] = True
        headers = {VERSION_HEADER: self._version}
        if betas := beta_features(self._betas, call.document.get("anthropic_beta")):
            headers[BETA_HEADER] = ",".join(betas)
        return Outgoing("/messages/count_tokens" if is_count else "/messages", document, headers)


class AnthropicKey(KeyCredential):
    """A key of Anthropic's: in `x-api-key`, but as a bearer where it is an OAuth token.

    Clients that are signed in with an account bring one; it is taken nowhere else.
    """

    def __init__(self, key: str) -> None:
        super().__init__(key, header="x-api-key")

    def sign(self, request: Unsigned) -> Signed:
        """Put the key in its place; nothing where there is none."""
        if self.chosen(request).startswith(_OAUTH_TOKEN):
            return bearer(self.chosen(request)).sign(request)
        return super().sign(request)


def _native_headers(options: PluginConfig, given: Headers) -> Mapping[str, str]:
    """Say the version where the client has not, or an attempt at another provider took it away."""
    assert isinstance(options, AnthropicOptions)  # noqa: S101 - made from SPEC.options
    return {} if VERSION_HEADER in given else {VERSION_HEADER: options.anthropic_version}


def _upstream(backend: Backend) -> AnthropicUpstream:
    options = backend.options
    assert isinstance(options, AnthropicOptions)  # noqa: S101 - made from SPEC.options
    return AnthropicUpstream(options)


SPEC = ProviderSpec(
    name="anthropic",
    options=AnthropicOptions,
    default_url=lambda _: "https://api.anthropic.com/v1",
    upstream=_upstream,
    credential=lambda backend: AnthropicKey(backend.api_key),
    passes_other=True,
    native_headers=_native_headers,
)
