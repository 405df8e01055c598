"""The index: nearest questions of one partition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from plugins.semantic_cache.records import Vector


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A stored question near the one asked.

    Args:
        key: of the entry.
        cosine: of the two embeddings, as far as the index keeps them (it may quantise).
    """

    key: int
    cosine: float


class Index(Protocol):
    """Vectors by partition; a search sees the vectors of its own partition and no others.

    It is used from one thread. Deleting is O(1) amortised; nothing is rebuilt while a caller waits.
    """

    def add(self, key: int, partition: bytes, vector: Vector) -> None:
        """Add a vector of unit length.

        Args:
            key: not in the index; a small number, those of removed vectors come again.
            partition: 16 bytes.
            vector: (d,) of the dimension that the index was made for.
        """

    def remove(self, key: int) -> None:
        """Remove a vector; an unknown key is no error."""

    def search(self, partition: bytes, vector: Vector, k: int) -> list[Neighbour]:
        """Return the at most k nearest of the partition, nearest first."""

    def __len__(self) -> int:
        """How many vectors there are."""

    @property
    def size_bytes(self) -> int:
        """What it takes of memory, about."""
