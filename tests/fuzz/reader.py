"""Fuzz input as choices: numbers, picks and pieces of bytes, empty ones at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Reads choices off the front of bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        """Return the next byte; 0 at the end."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def pick(self, things: Sequence[T]) -> T:
        """Return one of some things."""
        return things[self.byte() % len(things)]

    def piece(self) -> bytes:
        """Return up to 255 bytes, as the next byte says."""
        size = self.byte()
        self._at += size
        return self._data[self._at - size : self._at]

    def rest(self) -> bytes:
        """Return all that is left."""
        rest, self._data = self._data[self._at :], b""
        return rest


def cut(data: bytes, seed: int) -> list[bytes]:
    """Cut bytes into pieces; a seed of 0 cuts between any two."""
    if not seed:
        return [data[i : i + 1] for i in range(len(data))]
    pieces, at = [], 0
    while at < len(data):
        # Lengths that go up and down and depend on nothing but the seed.
        size = 1 + (seed * (at + 7)) % 23
        pieces.append(data[at : at + size])
        at += size
    return pieces
