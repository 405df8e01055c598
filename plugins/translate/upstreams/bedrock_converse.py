"""Amazon Bedrock: any model through Converse; embeddings and reranking through InvokeModel."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

from pipeline.api import Backend, Call, Headers, InvalidCall, PluginConfig
from plugins.translate.canonical import CanonicalCall, Json, Loss, Operation
from plugins.translate.credentials.aws import AwsOptions, aws_credential
from plugins.translate.formats import Fault, Framing, Outgoing, ProviderSpec, StreamDecoder
from plugins.translate.upstreams.anthropic_words import count
from plugins.translate.upstreams.bedrock_converse_answer import ToolNames, canonical_answer
from plugins.translate.upstreams.bedrock_converse_request import BedrockOptions, converse_body
from plugins.translate.upstreams.bedrock_converse_stream import ConverseDecoder
from plugins.translate.upstreams.bedrock_errors import response_fault
from plugins.translate.upstreams.bedrock_models import base_model, model_path
from plugins.translate.upstreams.bedrock_vectors import (
    embedding_answer,
    embedding_body,
    rerank_answer,
    rerank_body,
)


def _new_id() -> str:
    return uuid.uuid4().hex


class BedrockUpstream:
    """Models behind one region of Bedrock.

    Args:
        options: guardrail, latency and beta features.
        now_s: the clock, in Unix seconds; canonical answers say when they were made.
        new_id: makes ids: Converse's bodies have none.
    """

    operations: frozenset[Operation] = frozenset({"chat", "embedding", "rerank", "count_tokens"})
    native: frozenset[str] = frozenset()
    framing: Framing = "aws"
    rewrites_native = True

    def __init__(
        self,
        options: BedrockOptions,
        now_s: Callable[[], float] = time.time,
        new_id: Callable[[], str] = _new_id,
    ) -> None:
        self._options = options
        self._now_s = now_s
        self._new_id = new_id

    def native_request(self, call: Call, model: str) -> Outgoing:  # noqa: ARG002
        """Refuse: no client speaks Converse.

        Raises:
            InvalidCall: always.
        """
        message = f"{call.dialect.name} is not what Amazon Bedrock speaks"
        raise InvalidCall(message, code="unsupported_by_backend")

    def request(self, call: CanonicalCall, loss: Loss) -> Outgoing:
        """Return the request for a canonical call."""
        if call.operation == "embedding":
            return Outgoing(f"{model_path(call.model)}/invoke", embedding_body(call, loss))
        if call.operation == "rerank":
            return Outgoing(f"{model_path(call.model)}/invoke", rerank_body(call, loss))
        body = converse_body(call, loss, self._options)
        if call.operation == "count_tokens":
            # Inference profiles count nothing: only the model itself does.
            return Outgoing(f"{model_path(base_model(call.model))}/count-tokens", body)
        verb = "converse-stream" if call.stream else "converse"
        return Outgoing(f"{model_path(call.model)}/{verb}", body)

    def answer(self, document: Json, call: CanonicalCall) -> Json:
        """Return the canonical answer."""
        if call.operation == "count_tokens":
            return {"input_tokens": count(document, "inputTokens")}
        if call.operation == "embedding":
            return embedding_answer(document, call)
        if call.operation == "rerank":
            return rerank_answer(document, self._new_id())
        return canonical_answer(
            document,
            ToolNames(call.document),
            answer_id=f"chatcmpl-{self._new_id()}",
            model=call.model,
            created_s=int(self._now_s()),
        )

    def decoder(self, call: CanonicalCall) -> StreamDecoder:
        """Return a reader of the stream."""
        return ConverseDecoder(
            ToolNames(call.document),
            answer_id=f"chatcmpl-{self._new_id()}",
            model=call.model,
            created_s=int(self._now_s()),
        )

    def fault(self, status: int, headers: Headers, body: bytes) -> Fault:
        """Read an error response."""
        return response_fault(status, headers, body)


def _default_url(options: PluginConfig) -> str:
    region = options.region if isinstance(options, AwsOptions) else ""
    return f"https://bedrock-runtime.{region}.amazonaws.com" if region else ""


def _upstream(backend: Backend) -> BedrockUpstream:
    options = backend.options
    assert isinstance(options, BedrockOptions)  # noqa: S101 - made from SPEC.options
    return BedrockUpstream(options)


SPEC = ProviderSpec(
    name="aws_bedrock",
    options=BedrockOptions,
    default_url=_default_url,
    upstream=_upstream,
    credential=aws_credential,
)
