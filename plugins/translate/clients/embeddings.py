"""OpenAI's embeddings as a client's API: the canonical form of its operation itself."""

from __future__ import annotations

import base64
import struct
from typing import Any

from plugins.translate.canonical import Json, Loss, Operation
from plugins.translate.clients.chat_stream import ChatEncoder
from plugins.translate.formats import Client, StreamEncoder


class EmbeddingsClient:
    """Calls of `openai.embeddings`."""

    dialect = "openai.embeddings"
    operation: Operation = "embedding"

    def canonical(self, document: Json, loss: Loss) -> Json:  # noqa: ARG002
        """Return the call as it is."""
        return document

    def answer(self, answer: Json, call: Json) -> Json:
        """Return the canonical answer, its vectors in the encoding that the client asked for.

        The SDKs ask for base64 unless told otherwise, and few providers know it.
        """
        if call.get("encoding_format") != "base64":
            return answer
        vectors = [_packed(one) for one in answer.get("data") or ()]
        return {**answer, "data": vectors}

    def encoder(self, call: Json) -> StreamEncoder:  # noqa: ARG002
        """Return a writer for the errors of a stream: embeddings have no other."""
        return ChatEncoder(shows_usage=False)


def _packed(item: Json) -> Json:
    vector: Any = item.get("embedding")
    if not isinstance(vector, list):
        return item
    raw = struct.pack(f"<{len(vector)}f", *vector)
    return {**item, "embedding": base64.b64encode(raw).decode()}


_: Client = EmbeddingsClient()
