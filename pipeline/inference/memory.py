"""Memory: readings of recent texts, bounded in bytes; no text is kept."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import NamedTuple

from pipeline.inference.contract import Reading
from pipeline.inference.pooling import merge

_NO_HEADS: frozenset[str] = frozenset()
# Of an entry: its key, the objects around the vectors, its place in the table; measured.
_ENTRY_BYTES = 900
_HEAD_BYTES = 100


class Known(NamedTuple):
    """What is remembered of a text."""

    reading: Reading
    heads: frozenset[str]


_NOTHING = Known(Reading(), _NO_HEADS)


def key_of(identity: str, text: str) -> bytes:
    """Return the hash that stands for a text as a model reads it.

    Args:
        identity: the model's.
        text: any, lone surrogates too.
    """
    hashed = hashlib.blake2b(identity.encode(), digest_size=16)
    # The identity has no NUL, so that no text can pass for a part of it.
    hashed.update(b"\0")
    hashed.update(text.encode("utf-8", "surrogatepass"))
    return hashed.digest()


class Memory:
    """Remembers the readings of texts, the least recently asked for is forgotten first.

    Args:
        max_bytes: of all readings together; 0 remembers none.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self.bytes = 0
        """How much is taken."""

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: bytes) -> Known:
        """Return what is known of a text; a reading of no heads if nothing is."""
        known = self._known.get(key)
        if known is None:
            return _NOTHING
        self._known.move_to_end(key)
        return known

    def add(self, key: bytes, reading: Reading, heads: frozenset[str]) -> None:
        """Remember a reading of these heads, beside what is known of the text already."""
        old = self._known.pop(key, None)
        if old is not None:
            self.bytes -= _size(old)
            reading, heads = merge(old.reading, reading), old.heads | heads
        new = self._known[key] = Known(reading, heads)
        self.bytes += _size(new)
        while self.bytes > self._max_bytes:
            self.bytes -= _size(self._known.popitem(last=False)[1])


def _size(known: Known) -> int:
    reading = known.reading
    vectors = sum(vector.nbytes for vector in reading.labels.values())
    if reading.embedding is not None:
        vectors += reading.embedding.nbytes
    return _ENTRY_BYTES + len(known.heads) * _HEAD_BYTES + vectors
