"""Rerank as a client's API: Cohere's first and second version, and Jina's, become the second."""

from __future__ import annotations

from typing import Any

import yaml

from plugins.translate.canonical import Json, Loss, Operation
from plugins.translate.clients.chat_stream import ChatEncoder
from plugins.translate.formats import Client, StreamEncoder


class RerankClient:
    """Calls of `cohere.rerank`."""

    dialect = "cohere.rerank"
    operation: Operation = "rerank"

    def canonical(self, document: Json, loss: Loss) -> Json:
        """Return the call with its documents as texts; the answer gives them back."""
        call = {k: v for k, v in document.items() if k not in {"rank_fields", "return_documents"}}
        if call.pop("max_chunks_per_doc", None) is not None:
            loss.add("max_chunks_per_doc")
        fields = document.get("rank_fields")
        call["documents"] = [_text(one, fields) for one in document.get("documents") or ()]
        return call

    def answer(self, answer: Json, call: Json) -> Json:
        """Return the canonical answer, with the documents for who asked for them."""
        results = answer.get("results") or []
        if call.get("return_documents"):
            documents = call.get("documents") or []
            results = [_with_document(one, documents) for one in results]
        else:
            results = [{k: v for k, v in one.items() if k != "document"} for one in results]
        return {**answer, "results": results}

    def encoder(self, call: Json) -> StreamEncoder:  # noqa: ARG002
        """Return a writer for the errors of a stream: rerank has no other."""
        return ChatEncoder(shows_usage=False)


def _text(document: Any, fields: Any) -> str:
    if not isinstance(document, dict):
        return str(document)
    shown = document
    if isinstance(fields, list) and fields:
        shown = {name: document[name] for name in fields if name in document}
    if shown.keys() == {"text"} or (not fields and "text" in shown):
        return str(shown["text"])
    # What Cohere recommends for documents with fields.
    return str(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True))


def _with_document(result: Json, documents: list[Any]) -> Json:
    index = result.get("index")
    if not isinstance(index, int) or not 0 <= index < len(documents):
        return result
    own = documents[index]
    return {**result, "document": own if isinstance(own, dict) else {"text": own}}


_: Client = RerankClient()
