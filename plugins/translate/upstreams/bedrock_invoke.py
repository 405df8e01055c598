"""Claude through Amazon Bedrock's InvokeModel: Anthropic's bodies, AWS's paths and frames."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from pydantic import Field

from pipeline.api import Backend, Call, Headers
from plugins.translate.canonical import CanonicalCall, Json, Loss
from plugins.translate.client_headers import (
    BETA_HEADER,
    VERSION_HEADER,
    asked_betas,
    beta_features,
)
from plugins.translate.credentials.aws import AwsOptions, aws_credential, runtime_url
from plugins.translate.formats import Fault, Framing, Native, Outgoing, ProviderSpec, StreamDecoder
from plugins.translate.upstreams.anthropic import ClaudeUpstream
from plugins.translate.upstreams.anthropic_errors import exception_fault
from plugins.translate.upstreams.anthropic_native import without_others_words
from plugins.translate.upstreams.anthropic_parts import Platform
from plugins.translate.upstreams.anthropic_stream import MessageDecoder
from plugins.translate.upstreams.anthropic_words import count
from plugins.translate.upstreams.bedrock_models import base_model, model_path
from plugins.translate.upstreams.claude_betas import ON_BEDROCK, taken_betas

_PLATFORM = Platform(
    "Claude on Bedrock", urls=False, files=False, server_tools=False, service_tier=False
)
_SAID_IN_THE_BODY = frozenset({VERSION_HEADER, BETA_HEADER})
# The least that a body to be counted may say: InvokeModel demands it.
_COUNT_MAX_TOKENS = 1


class BedrockInvokeOptions(AwsOptions):
    """What a backend of Bedrock's InvokeModel takes beside the common keys."""

    anthropic_version: str = Field(
        default="bedrock-2023-05-31", description="Version of Anthropic's API, for the body."
    )
    anthropic_beta: tuple[str, ...] = Field(default=(), description="Beta features, for the body.")


class BedrockInvokeUpstream(ClaudeUpstream):
    """Claude models behind InvokeModel.

    Args:
        options: version and beta features.
        now_s: the clock, in Unix seconds.
    """

    framing: Framing = "aws"

    def __init__(
        self, options: BedrockInvokeOptions, now_s: Callable[[], float] = time.time
    ) -> None:
        super().__init__(_PLATFORM, now_s)
        self._version = options.anthropic_version
        self._betas = options.anthropic_beta
        self.native: Mapping[str, Native] = {
            "anthropic.messages": Native(self._wrapped, without_others_words)
        }

    def request(self, call: CanonicalCall, loss: Loss) -> Outgoing:
        """Return the request for a canonical call."""
        betas = call.document.get("anthropic_beta")
        body = {**self._head(betas, loss), **self._body(call, loss)}
        if call.operation != "count_tokens":
            return self._invoke(body, call.model, stream=call.stream)
        counted = orjson.dumps({"max_tokens": _COUNT_MAX_TOKENS, **body})
        document = {"input": {"invokeModel": {"body": base64.b64encode(counted).decode()}}}
        return Outgoing(f"{model_path(base_model(call.model))}/count-tokens", document)

    def answer(self, document: Json, call: CanonicalCall) -> Json:
        """Return the canonical answer for a message or a count."""
        if call.operation == "count_tokens":
            return {"input_tokens": count(document, "inputTokens")}
        return super().answer(document, call)

    def decoder(self, call: CanonicalCall) -> StreamDecoder:
        """Return a reader of the stream."""
        return _EventDecoder(MessageDecoder(model=call.model, created_s=int(self._now_s())))

    def _wrapped(self, call: Call, model: str, headers: Headers, loss: Loss) -> Outgoing:
        """Return a client's own call, its model in the path, version and betas in the body."""
        body = dict(call.document)
        for name in ("model", "stream"):
            body.pop(name, None)
        head = self._head(asked_betas(headers), loss)
        if betas := beta_features(head.get("anthropic_beta"), body.pop("anthropic_beta", None)):
            head["anthropic_beta"] = betas
        return self._invoke({**head, **body}, model, stream=call.stream)

    def _head(self, betas: Any, loss: Loss) -> Json:
        wanted = taken_betas(self._betas, betas, ON_BEDROCK, loss)
        return {
            "anthropic_version": self._version,
            **({"anthropic_beta": wanted} if wanted else {}),
        }

    def _invoke(self, body: Json, model: str, *, stream: bool) -> Outgoing:
        verb = "invoke-with-response-stream" if stream else "invoke"
        return Outgoing(f"{model_path(model)}/{verb}", body, without=_SAID_IN_THE_BODY)


class _EventDecoder:
    """Reads Anthropic's events, unpacked from AWS's frames, and AWS's own exceptions."""

    def __init__(self, events: MessageDecoder) -> None:
        self._events = events

    def event(self, name: str, data: str) -> Sequence[Json | Fault]:
        """Take one event and return canonical chunks."""
        if name.lower().endswith("exception"):
            return (exception_fault(name, data),)
        return self._events.event(name, data)

    def end(self) -> Sequence[Json | Fault]:
        """Return a Fault when the stream ended before its answer did."""
        return self._events.end()


def _upstream(backend: Backend) -> BedrockInvokeUpstream:
    options = backend.options
    assert isinstance(options, BedrockInvokeOptions)  # noqa: S101 - made from SPEC.options
    return BedrockInvokeUpstream(options)


SPEC = ProviderSpec(
    name="aws_bedrock_invoke",
    options=BedrockInvokeOptions,
    default_url=runtime_url,
    upstream=_upstream,
    credential=aws_credential,
)
