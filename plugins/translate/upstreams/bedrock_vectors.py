"""Embeddings and reranking by models behind Bedrock's InvokeModel: Titan's and Cohere's."""

from __future__ import annotations

from typing import Any

from pipeline.api import InvalidCall
from plugins.translate.canonical import CanonicalCall, Fields, Json, Loss
from plugins.translate.upstreams.anthropic_words import count
from plugins.translate.upstreams.bedrock_models import base_model

_PURPOSES = {"query": "search_query", "document": "search_document", "passage": "search_document"}
_DEFAULT_PURPOSE = "search_document"  # Cohere demands one
_COHERE = frozenset({"search_document", "search_query", "classification", "clustering"})
_RERANK_VERSION = 2


def embedding_body(call: CanonicalCall, loss: Loss) -> Json:
    """Return InvokeModel's body for an embedding.

    Raises:
        InvalidCall: `unsupported_by_backend`: the model takes one text, or no tokens, or is none
            of Titan's and Cohere's.
    """
    fields = Fields(call.document, loss)
    fields.ignore("model", "user", "encoding_format")
    texts = _texts(fields.take("input"))
    name = base_model(call.model)
    if name.startswith("cohere.embed"):
        body = _cohere(texts, fields, name)
    elif name.startswith("amazon.titan-embed"):
        body = _titan(texts, fields, name)
    else:
        message = f"embeddings on Amazon Bedrock are those of Titan and Cohere, not of {name!r}"
        raise InvalidCall(message, code="unsupported_by_backend", param="model")
    fields.finish()
    return body


def embedding_answer(document: Json, call: CanonicalCall) -> Json:
    """Return the canonical answer for Titan's or Cohere's vectors.

    The body of Cohere's answer does not count tokens: a header does.

    Raises:
        ValueError: it has no vectors.
    """
    tokens = count(document, "inputTextTokenCount")
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": at, "embedding": vector}
            for at, vector in enumerate(_vectors(document))
        ],
        "model": call.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def rerank_body(call: CanonicalCall, loss: Loss) -> Json:
    """Return InvokeModel's body for a reranking."""
    fields = Fields(call.document, loss)
    fields.ignore("model")
    body: Json = {"query": fields.take("query", ""), "documents": fields.take("documents", [])}
    if (top_n := fields.take("top_n")) is not None:
        body["top_n"] = top_n
    if base_model(call.model).startswith("cohere."):
        body["api_version"] = _RERANK_VERSION
        if (longest := fields.take("max_tokens_per_doc")) is not None:
            body["max_tokens_per_doc"] = longest
    fields.finish()
    return body


def rerank_answer(document: Json, answer_id: str) -> Json:
    """Return the canonical answer for a reranking.

    Raises:
        ValueError: it has no results.
    """
    results = document.get("results")
    if not isinstance(results, list):
        raise ValueError("the answer has no results")  # noqa: TRY004 - a provider's fault
    kept = [
        {"index": one["index"], "relevance_score": one["relevance_score"]}
        for one in results
        if isinstance(one, dict)
    ]
    return {"id": answer_id, "results": kept, "meta": {"api_version": {"version": "2"}}}


def _texts(given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(one, str) for one in texts):
        message = "embeddings on Amazon Bedrock take text, not tokens"
        raise InvalidCall(message, code="unsupported_by_backend", param="input")
    return texts


def _cohere(texts: list[str], fields: Fields, name: str) -> Json:
    purpose = fields.take("input_type", _DEFAULT_PURPOSE)
    body: Json = {"texts": texts, "input_type": _PURPOSES.get(purpose, purpose)}
    if body["input_type"] not in _COHERE:
        fields.lose("input_type")
        body["input_type"] = _DEFAULT_PURPOSE
    if (truncate := fields.take("truncate")) is not None:
        body["truncate"] = truncate
    if (dimensions := fields.take("dimensions")) is not None:
        if "embed-v4" not in name:
            raise _fixed()
        body["output_dimension"] = dimensions
    body["embedding_types"] = ["float"]
    return body


def _titan(texts: list[str], fields: Fields, name: str) -> Json:
    if len(texts) != 1:
        message = "this model embeds one text a call; send one call for each"
        raise InvalidCall(message, code="unsupported_by_backend", param="input")
    body: Json = {"inputText": texts[0]}
    dimensions = fields.take("dimensions")
    if dimensions is not None and "embed-image" in name:
        body["embeddingConfig"] = {"outputEmbeddingLength": dimensions}
    elif dimensions is not None:
        if "embed-text-v2" not in name:
            raise _fixed()
        body["dimensions"] = dimensions
    if "embed-text-v2" in name and (normalize := fields.take("normalize")) is not None:
        body["normalize"] = normalize
    return body


def _fixed() -> InvalidCall:
    message = "this model's vectors have one length; leave `dimensions` out"
    return InvalidCall(message, code="unsupported_by_backend", param="dimensions")


def _vectors(document: Json) -> list[list[float]]:
    if isinstance(one := document.get("embedding"), list):
        return [one]
    vectors = document.get("embeddings")
    if isinstance(vectors, dict):
        vectors = vectors.get("float")
    if not isinstance(vectors, list) or not all(isinstance(one, list) for one in vectors):
        raise ValueError("the answer has no vectors")
    return vectors
