"""Cohere's own API, version 2: chat, embeddings, rerank."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Literal

import orjson
from pydantic import Field

from pipeline.api import Backend, Headers, InvalidCall, PluginConfig
from plugins.translate.canonical import CanonicalCall, Fields, Json, Loss, Operation
from plugins.translate.credentials.keys import bearer
from plugins.translate.formats import Fault, Framing, Native, Outgoing, ProviderSpec, StreamDecoder
from plugins.translate.upstreams.anthropic_words import as_object
from plugins.translate.upstreams.cohere_answer import (
    canonical_answer,
    canonical_embeddings,
    canonical_ranking,
)
from plugins.translate.upstreams.cohere_request import chat_body
from plugins.translate.upstreams.cohere_stream import ChatDecoder

_MAX_MESSAGE = 2000  # characters of an error page
_DEFAULT_INPUT_TYPE = "search_document"
_CODES = {
    400: "invalid_request",
    401: "invalid_api_key",
    402: "payment_required",
    403: "forbidden",
    404: "not_found",
    422: "unprocessable_entity",
    429: "rate_limit_exceeded",
    498: "content_filter",
    499: "request_cancelled",
    501: "not_implemented",
    503: "service_unavailable",
    504: "gateway_timeout",
}
_INPUT_TYPES = {
    "query": "search_query",
    "document": "search_document",
    "passage": "search_document",
}


class CohereOptions(PluginConfig):
    """What a backend of Cohere takes beside the common keys."""

    safety_mode: Literal["", "CONTEXTUAL", "STRICT", "OFF"] = Field(
        default="", description="Safety mode of calls that name none; Cohere's default if absent."
    )


class CohereUpstream:
    """Cohere's API.

    Args:
        options: the safety mode.
        now_s: the clock, in Unix seconds; canonical answers say when they were made.
    """

    operations: frozenset[Operation] = frozenset({"chat", "embedding", "rerank"})
    # Rerank's first version reaches the second through the client's adapter.
    native: Mapping[str, Native] = {}
    framing: Framing = "sse"

    def __init__(self, options: CohereOptions, now_s: Callable[[], float] = time.time) -> None:
        self._options = options
        self._now_s = now_s

    def request(self, call: CanonicalCall, loss: Loss) -> Outgoing:
        """Return the request for a canonical call."""
        if call.operation == "embedding":
            return Outgoing("/v2/embed", _embed_body(call, loss))
        if call.operation == "rerank":
            return Outgoing("/v2/rerank", _rerank_body(call, loss))
        return Outgoing("/v2/chat", chat_body(call, loss, self._options.safety_mode))

    def answer(self, document: Json, call: CanonicalCall) -> Json:
        """Return the canonical answer."""
        if call.operation == "embedding":
            return canonical_embeddings(document, call.model)
        if call.operation == "rerank":
            return canonical_ranking(document)
        return canonical_answer(document, model=call.model, created_s=int(self._now_s()))

    def decoder(self, call: CanonicalCall) -> StreamDecoder:
        """Return a reader of the stream."""
        return ChatDecoder(model=call.model, created_s=int(self._now_s()))

    def fault(self, status: int, headers: Headers, body: bytes) -> Fault:  # noqa: ARG002
        """Read an error response, JSON or not."""
        status = status if status >= 400 else 502
        code = _CODES.get(status, "invalid_request" if status < 500 else "server_error")
        plain = f"the provider answered {status}"
        try:
            message = as_object(orjson.loads(body)).get("message")
        except orjson.JSONDecodeError:
            text = body[:_MAX_MESSAGE].decode("utf-8", "replace").strip()
            message = None if text.startswith("<") else text
        # No client knows Cohere's own status for what its filters refuse.
        return Fault(400 if status == 498 else status, code, str(message or plain))


def _embed_body(call: CanonicalCall, loss: Loss) -> Json:
    fields = Fields(call.document, loss)
    # The client's adapter encodes vectors as it was asked to.
    fields.ignore("model", "encoding_format", "stream")
    given = fields.take("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        message = "Cohere's models embed texts, not tokens"
        raise InvalidCall(message, code="unsupported_by_backend", param="input")
    kind = str(fields.take("input_type", _DEFAULT_INPUT_TYPE))
    kinds = fields.take("embedding_types", ["float"])
    body: Json = {
        "model": call.model,
        "texts": texts,
        "input_type": _INPUT_TYPES.get(kind, kind),
        "embedding_types": kinds[:1] if isinstance(kinds, list) else ["float"],
    }
    if isinstance(kinds, list) and len(kinds) > 1:
        fields.lose("embedding_types")  # an OpenAI answer has room for one
    for name, theirs in (("dimensions", "output_dimension"), ("truncate", "truncate")):
        if (value := fields.take(name)) is not None:
            body[theirs] = value
    fields.finish()
    return body


def _rerank_body(call: CanonicalCall, loss: Loss) -> Json:
    fields = Fields(call.document, loss)
    fields.ignore("model")
    body: Json = {"model": call.model}
    for name in ("query", "documents", "top_n", "max_tokens_per_doc", "priority"):
        if (value := fields.take(name)) is not None:
            body[name] = value
    fields.finish()
    return body


def _upstream(backend: Backend) -> CohereUpstream:
    options = backend.options
    assert isinstance(options, CohereOptions)  # noqa: S101 - made from SPEC.options
    return CohereUpstream(options)


SPEC = ProviderSpec(
    name="cohere",
    options=CohereOptions,
    default_url=lambda _: "https://api.cohere.com",
    upstream=_upstream,
    credential=lambda backend: bearer(backend.api_key),
)
