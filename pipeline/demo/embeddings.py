"""Embeddings of the demo upstream: texts that share words point the same way."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from typing import Any

from pipeline.demo.answers import count_words
from pipeline.errors import InvalidCall

Json = dict[str, Any]

_DIMENSIONS = 1536
_MAX_DIMENSIONS = 4096
_BYTES_PER_SPOT = 4


def embed(text: str, dimensions: int = _DIMENSIONS) -> list[float]:
    """Return a unit vector: every word of the text, hashed, adds or subtracts 1 at 16 spots."""
    vector = [0.0] * dimensions
    for word in text.lower().split() or [""]:
        # A lone surrogate has no strict UTF-8 form.
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass")).digest()
        for start in range(0, len(digest), _BYTES_PER_SPOT):
            spot = int.from_bytes(digest[start : start + _BYTES_PER_SPOT], "big")
            vector[(spot >> 1) % dimensions] += 1.0 if spot & 1 else -1.0
    norm = math.sqrt(sum(x * x for x in vector))
    if norm == 0.0:  # with few dimensions the words may cancel out
        return [1.0, *vector[1:]]
    return [x / norm for x in vector]


def embeddings(request: Json) -> Json:
    """Return the answer to an embeddings request.

    Raises:
        InvalidCall: `dimensions` or `encoding_format` has a value that cannot be served.
    """
    dimensions = request.get("dimensions", _DIMENSIONS)
    if type(dimensions) is not int or not 1 <= dimensions <= _MAX_DIMENSIONS:
        message = f"dimensions is a whole number from 1 to {_MAX_DIMENSIONS}"
        raise InvalidCall(message, code="invalid_value", param="dimensions")
    encoding = request.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        message = "encoding_format is float or base64"
        raise InvalidCall(message, code="invalid_value", param="encoding_format")
    texts = _texts(request["input"])
    words = sum(count_words(text) for text in texts)
    data = []
    for index, text in enumerate(texts):
        vector = embed(text, dimensions)
        embedding = _to_base64(vector) if encoding == "base64" else vector
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    return {
        "object": "list",
        "data": data,
        "model": request.get("model", ""),
        "usage": {"prompt_tokens": words, "total_tokens": words},
    }


def _texts(value: Any) -> list[str]:
    # A list of numbers is one text in tokens; the demo has no tokenizer and reads them as words.
    if not isinstance(value, list):
        return [str(value)]
    if value and all(isinstance(token, int) for token in value):
        return [" ".join(map(str, value))]
    return [text for item in value for text in _texts(item)]


def _to_base64(vector: list[float]) -> str:
    # Little-endian float32, as OpenAI's clients read it.
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
