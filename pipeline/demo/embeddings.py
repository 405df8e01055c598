"""Embeddings of the demo upstream: texts that share words point the same way."""

from __future__ import annotations

import base64
import hashlib
import math
import struct

DIMENSIONS = 1536
MAX_DIMENSIONS = 4096

_BYTES_PER_SPOT = 4


def embed(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """Return a unit vector: every word of the text, hashed, adds or subtracts 1 at 16 spots."""
    vector = [0.0] * dimensions
    for word in text.lower().split() or [""]:
        # Surrogates can come out of JSON escapes and have no UTF-8 form.
        digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass")).digest()
        for start in range(0, len(digest), _BYTES_PER_SPOT):
            spot = int.from_bytes(digest[start : start + _BYTES_PER_SPOT], "big")
            vector[(spot >> 1) % dimensions] += 1.0 if spot & 1 else -1.0
    norm = math.sqrt(sum(x * x for x in vector))
    if norm == 0.0:  # with few dimensions the words may cancel out
        return [1.0] + vector[1:]
    return [x / norm for x in vector]


def to_base64(vector: list[float]) -> str:
    """Return the `base64` encoding format: little-endian float32, as OpenAI's clients read it."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
