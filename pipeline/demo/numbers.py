"""The demo's answers in numbers: tokens counted, documents ranked."""

from __future__ import annotations

from typing import Any

from pipeline.api import Dialect
from pipeline.demo.answers import count_words

Json = dict[str, Any]

_COUNTS = {
    "anthropic.count_tokens": "input_tokens",
    "openai.input_tokens": "input_tokens",
    "vllm.tokenize": "count",
}
NUMERIC = frozenset({*_COUNTS, "cohere.rerank"})
"""Names of the dialects that are answered here."""


def numbers(dialect: Dialect, request: Json, *, id: str) -> Json:  # noqa: A002
    """Return the answer: a word is a token, and a document's score is its share of the query."""
    if dialect.name == "cohere.rerank":
        return _ranked(request, id)
    counted = sum(count_words(segment.text or "") for segment in dialect.segments(request))
    document: Json = {_COUNTS[dialect.name]: counted}
    if dialect.name == "openai.input_tokens":
        document["object"] = "response.input_tokens"
    if dialect.name == "vllm.tokenize":
        document |= {"tokens": list(range(counted)), "max_model_len": 4096}
    return document


def _ranked(request: Json, id_: str) -> Json:
    asked = set(str(request["query"]).lower().split())
    scores = []
    for one in request["documents"]:
        text = one if isinstance(one, str) else " ".join(map(str, one.values()))
        shared = asked & set(text.lower().split())
        scores.append(len(shared) / max(1, len(asked)))
    order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    most = request.get("top_n")
    shown = order[:most] if isinstance(most, int) and most > 0 else order
    results = [{"index": index, "relevance_score": scores[index]} for index in shown]
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1.0}}
    return {"id": id_, "results": results, "meta": meta}
