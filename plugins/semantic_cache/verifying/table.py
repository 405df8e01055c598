"""Learned words: a vector a word, such that sums of them are near where the same is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
_LEAST = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class WordTable:
    """Vectors and rarities of words.

    Args:
        places: row of each known word.
        rows: (words + 1, d) vectors; the last one is zero and stands for all other words.
        rarities: (words + 1) inverse document frequency, in nats.
    """

    places: Mapping[str, int]
    rows: Vectors
    rarities: Vectors

    def terms(self, words: Sequence[str]) -> list[str]:
        """Return words and those pairs of neighbours that have a vector of their own."""
        pairs = [f"{one} {other}" for one, other in pairwise(words)]
        return [*words, *[pair for pair in pairs if pair in self.places]]


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A question's words, looked up.

    Args:
        terms: its words, and pairs of them.
        known: the terms once each.
        rows: (n, d) vectors of its terms.
        units: (n, d) the same at length 1, zero for unknown words.
        lengths: of the vectors.
        rarities: of the terms.
        rarity: of all together.
        mean: (d) the vectors' sum at length 1.
    """

    terms: list[str]
    known: frozenset[str]
    rows: Vectors
    units: Vectors
    lengths: list[float]
    rarities: list[float]
    rarity: float
    mean: Vectors


class Lookup:
    """Looks up the words of questions.

    Args:
        table: of the words.
    """

    def __init__(self, table: WordTable) -> None:
        self._table = table
        self._lengths = np.sqrt(np.einsum("ij,ij->i", table.rows, table.rows))
        self._units = table.rows / np.maximum(self._lengths, _LEAST)[:, None]

    def look(self, words: Sequence[str]) -> Looked:
        """Return the learned words of a question.

        Args:
            words: its tokens.
        """
        table = self._table
        terms = table.terms(words)
        places, unknown = table.places, len(table.places)
        ids = [places.get(term, unknown) for term in terms]
        rows = table.rows[ids]
        lengths: list[float] = self._lengths[ids].tolist()
        rarities: list[float] = table.rarities[ids].tolist()
        total = rows.sum(0)
        length = sqrt(float(total @ total))
        mean = total / length if length > _LEAST else total
        known = frozenset(terms)
        return Looked(terms, known, rows, self._units[ids], lengths, rarities, sum(rarities), mean)
