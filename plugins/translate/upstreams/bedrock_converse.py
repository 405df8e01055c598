"""Amazon Bedrock: any model through Converse; embeddings and reranking through InvokeModel."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping

from pipeline.api import Backend, Headers
from plugins.translate.canonical import CanonicalCall, Json, Loss, Operation
from plugins.translate.credentials.aws import aws_credential, runtime_url
from plugins.translate.formats import Fault, Framing, Native, Outgoing, ProviderSpec, StreamDecoder
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

# Of InvokeModel's answers: Cohere's bodies count no tokens.
_TOKENS_HEADER = "x-amzn-bedrock-input-token-count"


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
    native: Mapping[str, Native] = {}
    framing: Framing = "aws"

    def __init__(
        self,
        options: BedrockOptions,
        now_s: Callable[[], float] = time.time,
        new_id: Callable[[], str] = _new_id,
    ) -> None:
        self._options = options
        self._now_s = now_s
        self._new_id = new_id

    def request(self, call: CanonicalCall, loss: Loss) -> Outgoing:
        """Return the request for a canonical call."""
        if call.operation == "embedding":
            body = embedding_body(call, loss)
            return Outgoing(f"{model_path(call.model)}/invoke", body, tokens_in=_TOKENS_HEADER)
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


def _upstream(backend: Backend) -> BedrockUpstream:
    options = backend.options
    assert isinstance(options, BedrockOptions)  # noqa: S101 - made from SPEC.options
    return BedrockUpstream(options)


SPEC = ProviderSpec(
    name="aws_bedrock",
    options=BedrockOptions,
    default_url=runtime_url,
    upstream=_upstream,
    credential=aws_credential,
)
