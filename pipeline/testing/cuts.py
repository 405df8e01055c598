"""Cuts: the ways in which a network may divide bytes, each of them reproducible."""

from __future__ import annotations

import random
from collections.abc import Callable

Cut = Callable[[bytes], list[bytes]]
"""Divides bytes into pieces that add up to them; a piece may be empty."""


def whole(data: bytes) -> list[bytes]:
    """Leave the bytes in one piece."""
    return [data]


def byte_by_byte(data: bytes) -> list[bytes]:
    """Cut between all bytes: inside of UTF-8, of JSON's escapes, of a line's end."""
    return [data[at : at + 1] for at in range(len(data))] or [b""]


def every(size_bytes: int) -> Cut:
    """Return a cut into pieces of one size."""

    def cut(data: bytes) -> list[bytes]:
        pieces = [data[at : at + size_bytes] for at in range(0, len(data), size_bytes)]
        return pieces or [b""]

    return cut


def seeded(seed: int, pieces: int = 8) -> Cut:
    """Return a cut at places that the seed chooses, empty pieces and an empty end among them.

    Args:
        seed: equal seeds cut equally.
        pieces: how many there are.
    """

    def cut(data: bytes) -> list[bytes]:
        chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
        places = sorted(chance.randint(0, len(data)) for _ in range(pieces - 1))
        return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]

    return cut
