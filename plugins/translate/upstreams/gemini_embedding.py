"""Embeddings of Google's models: `batchEmbedContents`, and `embedContent` or `predict` on Vertex.

Which of Vertex's endpoints serves a model goes by its name, as in Google's own SDK: Gemini's models
have `embedContent`, the others (`text-embedding-005`) `predict`.
"""

from __future__ import annotations

from typing import Any

from pipeline.api import InvalidCall
from plugins.translate.canonical import CanonicalCall, Fields, Json, Loss
from plugins.translate.upstreams.anthropic_words import as_object, count

_TASKS = {
    "search_query": "RETRIEVAL_QUERY",
    "query": "RETRIEVAL_QUERY",
    "search_document": "RETRIEVAL_DOCUMENT",
    "document": "RETRIEVAL_DOCUMENT",
    "passage": "RETRIEVAL_DOCUMENT",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}


def batch_body(call: CanonicalCall, loss: Loss, model: str) -> Json:
    """Return AI Studio's body.

    Args:
        call: the canonical call.
        loss: takes what cannot be carried.
        model: the model's resource name.
    """
    texts, task, size = _read(call, loss)
    beside: Json = {"taskType": task} if task else {}
    if size is not None:
        beside["outputDimensionality"] = size
    return {"requests": [{"model": model, "content": _content(one), **beside} for one in texts]}


def vertex_body(call: CanonicalCall, loss: Loss) -> tuple[str, Json]:
    """Return Vertex AI's verb and body."""
    texts, task, size = _read(call, loss)
    if "gemini" not in call.model:
        beside: Json = {"task_type": task} if task else {}
        body: Json = {"instances": [{"content": one, **beside} for one in texts]}
        if size is not None:
            body["parameters"] = {"outputDimensionality": size}
        return "predict", body
    config: Json = {"taskType": task} if task else {}
    if size is not None:
        config["outputDimensionality"] = size
    requests = [
        {"content": _content(one), **({"embedContentConfig": config} if config else {})}
        for one in texts
    ]
    if len(requests) == 1:
        return "embedContent", requests[0]
    return "batchEmbedContents", {"requests": requests}


def canonical_embeddings(document: Any, model: str) -> Json:
    """Return the canonical answer for any of the endpoints' answers.

    Raises:
        ValueError: it has no embeddings.
    """
    document = as_object(document)
    usage = as_object(document.get("usageMetadata"))
    tokens = count(usage, "promptTokenCount") or count(usage, "totalTokenCount")
    if isinstance(predictions := document.get("predictions"), list):
        found = [as_object(as_object(one).get("embeddings")) for one in predictions]
    elif isinstance(embeddings := document.get("embeddings"), list):
        found = [as_object(one) for one in embeddings]
    else:
        found = [as_object(document.get("embedding"))]
    vectors = [one.get("values") for one in found]
    if not vectors or not all(isinstance(vector, list) for vector in vectors):
        raise ValueError("the answer has no embeddings")
    statistics = [as_object(one.get("statistics")) for one in found]
    tokens = tokens or int(sum(one.get("token_count") or 0 for one in statistics))
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(vectors)
    ]
    counted = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": counted}


def _read(call: CanonicalCall, loss: Loss) -> tuple[list[str], str, Any]:
    fields = Fields(call.document, loss)
    # The client's adapter encodes vectors as it was asked to.
    fields.ignore("model", "encoding_format", "stream")
    given = fields.take("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        message = "Google's models embed texts, not tokens"
        raise InvalidCall(message, code="unsupported_by_backend", param="input")
    asked = fields.take("input_type")
    task = _TASKS.get(str(asked), str(asked) if asked and str(asked).isupper() else "")
    if asked and not task:
        fields.lose("input_type")
    size = fields.take("dimensions")
    fields.finish()
    return texts, task, size


def _content(text: str) -> Json:
    return {"parts": [{"text": text}]}
