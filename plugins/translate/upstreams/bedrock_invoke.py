"""Claude through Amazon Bedrock's InvokeModel: Anthropic's bodies, AWS's paths and frames."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence

import orjson
from pydantic import Field

from pipeline.api import Backend, Call, PluginConfig
from plugins.translate.canonical import CanonicalCall, Json, Loss
from plugins.translate.credentials.aws import AwsOptions, aws_credential
from plugins.translate.formats import Fault, Framing, Outgoing, ProviderSpec, StreamDecoder
from plugins.translate.upstreams.anthropic import ClaudeUpstream
from plugins.translate.upstreams.anthropic_errors import exception_fault
from plugins.translate.upstreams.anthropic_parts import Platform
from plugins.translate.upstreams.anthropic_stream import MessageDecoder
from plugins.translate.upstreams.anthropic_words import count
from plugins.translate.upstreams.bedrock_models import base_model, model_path

_PLATFORM = Platform(
    "Claude on Bedrock", urls=False, files=False, server_tools=False, service_tier=False
)
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

    native = frozenset({"anthropic.messages"})
    framing: Framing = "aws"

    def __init__(
        self, options: BedrockInvokeOptions, now_s: Callable[[], float] = time.time
    ) -> None:
        super().__init__(_PLATFORM, now_s)
        self._head: Json = {"anthropic_version": options.anthropic_version}
        if options.anthropic_beta:
            self._head["anthropic_beta"] = list(options.anthropic_beta)

    def native_request(self, call: Call, model: str) -> Outgoing:
        """Return the call with its model in the path and the version in the body."""
        return self._invoke(dict(call.document), model, stream=call.stream)

    def request(self, call: CanonicalCall, loss: Loss) -> Outgoing:
        """Return the request for a canonical call."""
        body = self._body(call, loss)
        if call.operation != "count_tokens":
            return self._invoke(body, call.model, stream=call.stream)
        counted = orjson.dumps({**self._head, "max_tokens": _COUNT_MAX_TOKENS, **body})
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

    def _invoke(self, body: Json, model: str, *, stream: bool) -> Outgoing:
        for name in ("model", "stream"):
            body.pop(name, None)
        verb = "invoke-with-response-stream" if stream else "invoke"
        return Outgoing(f"{model_path(model)}/{verb}", {**self._head, **body})


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


def _default_url(options: PluginConfig) -> str:
    region = options.region if isinstance(options, AwsOptions) else ""
    if not region:
        return ""
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://bedrock-runtime.{region}.{domain}"


def _upstream(backend: Backend) -> BedrockInvokeUpstream:
    options = backend.options
    assert isinstance(options, BedrockInvokeOptions)  # noqa: S101 - made from SPEC.options
    return BedrockInvokeUpstream(options)


SPEC = ProviderSpec(
    name="aws_bedrock_invoke",
    options=BedrockInvokeOptions,
    default_url=_default_url,
    upstream=_upstream,
    credential=aws_credential,
)
