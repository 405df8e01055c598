"""OpenAI's API, and the servers that are nearly so."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from pipeline.api import Headers, PluginConfig
from plugins.translate.canonical import CanonicalCall, Json, Loss
from plugins.translate.credentials.keys import bearer
from plugins.translate.formats import (
    Fault,
    Framing,
    Native,
    Outgoing,
    ProviderSpec,
    StreamDecoder,
)
from plugins.translate.upstreams.openai_answer import ChunkDecoder, canonical_answer, usage_of
from plugins.translate.upstreams.openai_count import counted, responses_input, tokenize_body
from plugins.translate.upstreams.openai_errors import response_fault
from plugins.translate.upstreams.openai_native import (
    without_sealed_items,
    without_translated_fields,
)
from plugins.translate.upstreams.openai_request import chat_body, without_unsupported
from plugins.translate.upstreams.quirks import OPENAI, Quirks

_CLEANERS = {
    "openai.chat": without_translated_fields,
    "openai.responses": without_sealed_items,
    "openai.input_tokens": without_sealed_items,
}


class OpenAIOptions(PluginConfig):
    """What a backend of OpenAI takes beside the common keys."""

    organization: str = Field(default="", description="Organization that calls are billed to.")
    project: str = Field(default="", description="Project that calls are counted to.")


class OpenAIUpstream:
    """OpenAI's format, and its copies'.

    Args:
        quirks: where the server differs.
        headers: what every translated call carries.
    """

    framing: Framing = "sse"

    def __init__(self, quirks: Quirks = OPENAI, headers: dict[str, str] | None = None) -> None:
        self._quirks = quirks
        self._headers = headers or {}
        self.operations = quirks.operations
        self.native: Mapping[str, Native] = {
            name: Native(clean=_CLEANERS.get(name)) for name in quirks.native
        }

    def request(self, call: CanonicalCall, loss: Loss) -> Outgoing:
        """Return the request for a canonical call."""
        quirks = self._quirks
        match call.operation:
            case "chat":
                body = chat_body(call, loss, quirks)
                return Outgoing("/chat/completions", body, self._headers)
            case "completion":
                path, body = "/completions", self._completion(call)
            case "embedding":
                path, body = "/embeddings", self._embedding(call, loss)
            case "rerank":
                path, body = "/rerank", {**call.document, "model": call.model}
            case "count_tokens" if quirks.counts == "vllm":
                body = tokenize_body(call, loss, quirks)
                return Outgoing("/tokenize", body, self._headers, beside_version=True)
            case "count_tokens":
                body = responses_input(call, loss, quirks)
                return Outgoing("/responses/input_tokens", body, self._headers)
        return Outgoing(path, without_unsupported(body, loss, quirks), self._headers)

    def _completion(self, call: CanonicalCall) -> Json:
        body = {k: v for k, v in call.document.items() if v is not None}
        if call.stream and self._quirks.stream_usage:
            options = body.get("stream_options") or {}
            body["stream_options"] = {**options, "include_usage": True}
        return {**body, "model": call.model}

    def _embedding(self, call: CanonicalCall, loss: Loss) -> Json:
        body = {**call.document, "model": call.model}
        if body.get("input_type") is not None and "input_type" not in self._quirks.takes:
            del body["input_type"]
            loss.add("input_type")
        # The client gets the encoding that it asked for: few servers know base64.
        if body.get("encoding_format") == "base64":
            body["encoding_format"] = "float"
        return body

    def answer(self, document: Json, call: CanonicalCall) -> Json:
        """Return the canonical answer."""
        match call.operation:
            case "chat" | "completion":
                return canonical_answer(document, self._quirks)
            case "count_tokens":
                return counted(document)
            case "rerank":
                return _ranked(document)
            case "embedding":
                if not isinstance(document["data"], list):
                    raise ValueError("no vectors")  # noqa: TRY004 - the wire's types, not ours
                return document

    def decoder(self, call: CanonicalCall) -> StreamDecoder:  # noqa: ARG002
        """Return a reader of the stream."""
        return ChunkDecoder(self._quirks)

    def fault(self, status: int, headers: Headers, body: bytes) -> Fault:
        """Read an error response."""
        return response_fault(status, headers, body)


def _ranked(document: Json) -> Json:
    """Return Cohere's answer for that of a server that is like Jina's."""
    results = document.get("results") or document.get("data")
    if not isinstance(results, list):
        raise ValueError("no results")  # noqa: TRY004 - what the wire says is no type of ours
    ranked = []
    for one in results:
        score = one.get("relevance_score")
        score = one.get("score") if score is None else score
        ranked.append({"index": one["index"], "relevance_score": score})
    answer: Json = {"id": document.get("id") or "", "results": ranked}
    usage = usage_of(document)
    if isinstance(document.get("meta"), dict):
        answer["meta"] = document["meta"]
    elif usage is not None:
        read = usage.get("prompt_tokens") or usage.get("total_tokens")
        answer["meta"] = {"tokens": {"input_tokens": read}}
    return answer


def _account(options: PluginConfig, _: Headers | None = None) -> dict[str, str]:
    """Return the headers that say whose account a call is on."""
    assert isinstance(options, OpenAIOptions)  # noqa: S101 - made from SPEC.options
    named = {"openai-organization": options.organization, "openai-project": options.project}
    return {name: value for name, value in named.items() if value}


SPEC = ProviderSpec(
    name="openai",
    options=OpenAIOptions,
    default_url=lambda _: "https://api.openai.com/v1",
    upstream=lambda backend: OpenAIUpstream(OPENAI, _account(backend.options)),
    credential=lambda backend: bearer(backend.api_key),
    passes_other=True,
    native_headers=_account,
)
