"""A replay: what a cache with a similarity threshold does with a stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.cache_stream.streams import Stream

Vectors = NDArray[np.float32]
# Of each request, kept in order of similarity; it is rare that none of them is stored.
NEIGHBOURS = 64
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of requests.

    Args:
        requests: how many there were.
        hits: answered from the cache.
        wrong: hits whose stored answer is another request's.
    """

    requests: int
    hits: int
    wrong: int

    @property
    def hit_rate(self) -> float:
        """Hits over requests."""
        return self.hits / self.requests if self.requests else 0.0

    @property
    def wrong_of_hits(self) -> float:
        """Wrong hits over hits; 0 without any."""
        return self.wrong / self.hits if self.hits else 0.0

    @property
    def wrong_of_all(self) -> float:
        """Wrong hits over requests."""
        return self.wrong / self.requests if self.requests else 0.0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.requests + other.requests, self.hits + other.hits, self.wrong + other.wrong
        )


class Replay:
    """A stream's nearest neighbours, found once for any number of thresholds.

    Args:
        stream: the requests.
        vectors: (n, d) embeddings of its texts, L2-normalised.
    """

    def __init__(self, stream: Stream, vectors: Vectors) -> None:
        self._answers: list[int] = stream.answers.tolist()
        self._vectors = vectors
        self._nearest: list[list[int]] = []
        self._similarities: list[list[float]] = []
        for start in range(0, len(vectors), _BLOCK):
            self._rank(start, min(start + _BLOCK, len(vectors)))

    def at(self, threshold: float) -> Outcome:
        """Replay from cold: the nearest stored request answers, a miss is stored.

        Args:
            threshold: cosine from which on the nearest one answers.
        """
        stored = [False] * len(self._answers)
        hits = wrong = 0
        for at, answer in enumerate(self._answers):
            found = self._lookup(at, threshold, stored)
            if found < 0:
                stored[at] = True
                continue
            hits += 1
            wrong += self._answers[found] != answer
        return Outcome(len(self._answers), hits, wrong)

    def _lookup(self, at: int, threshold: float, stored: list[bool]) -> int:
        """Return the nearest stored request if it is near enough, else -1."""
        nearest = self._nearest[at]
        for near, similarity in zip(nearest, self._similarities[at], strict=True):
            if similarity < threshold:
                return -1
            if stored[near]:
                return near
        if len(nearest) == at:
            return -1
        others = np.flatnonzero(stored[:at])
        similarities = self._vectors[others] @ self._vectors[at]
        best = int(similarities.argmax())
        return int(others[best]) if similarities[best] >= threshold else -1

    def _rank(self, start: int, stop: int) -> None:
        block = self._vectors[start:stop] @ self._vectors[:stop].T
        for at in range(start, stop):
            row = block[at - start, :at]
            near = np.argpartition(-row, NEIGHBOURS)[:NEIGHBOURS] if at > NEIGHBOURS else None
            chosen = np.arange(at) if near is None else near
            chosen = chosen[np.argsort(-row[chosen], kind="stable")]
            self._nearest.append(chosen.tolist())
            self._similarities.append(row[chosen].tolist())


def exact(stream: Stream) -> Outcome:
    """Replay with a cache that answers the very same text only."""
    stored: dict[str, int] = {}
    hits = wrong = 0
    for text, answer in zip(stream.texts, stream.answers.tolist(), strict=True):
        if text in stored:
            hits += 1
            wrong += stored[text] != answer
        else:
            stored[text] = answer
    return Outcome(len(stream.texts), hits, wrong)


def oracle(stream: Stream) -> Outcome:
    """Replay with a cache that knows every answer: all but the first of each is a hit."""
    return Outcome(len(stream.texts), len(stream.texts) - len(set(stream.answers.tolist())), 0)


def pooled(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome of several streams together."""
    return sum(outcomes, Outcome(0, 0, 0))
