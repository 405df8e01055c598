"""Lookups of a stream: what a cache would look at, and what came of it by threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.cache_stream.replay import Outcome
from models.cache_stream.streams import Stream

Vectors = NDArray[np.float32]
# How many stored questions the verifier looks at, and how many are kept of each request for that:
# about half of all requests are stored.
LOOKED_AT = 4
_KEPT = 12


@dataclass(frozen=True, slots=True)
class Candidates:
    """Of each request of a stream the nearest ones before it.

    Args:
        stream: the requests.
        nearest: of each its places, nearest first.
        cosines: of these.
    """

    stream: Stream
    nearest: tuple[tuple[int, ...], ...]
    cosines: tuple[tuple[float, ...], ...]

    def pairs(self) -> list[tuple[str, str, float]]:
        """Return all of them as (asked, stored, cosine), request by request."""
        texts = self.stream.texts
        return [
            (texts[at], texts[near], cosine)
            for at, (nearest, cosines) in enumerate(zip(self.nearest, self.cosines, strict=True))
            for near, cosine in zip(nearest, cosines, strict=True)
        ]


def candidates(stream: Stream, vectors: Vectors) -> Candidates:
    """Find the nearest requests before each.

    Args:
        stream: the requests.
        vectors: (n, d) of its texts, at length 1.
    """
    nearest: list[tuple[int, ...]] = [()]
    cosines: list[tuple[float, ...]] = [()]
    for at in range(1, len(vectors)):
        similar = vectors[:at] @ vectors[at]
        found = np.argpartition(-similar, min(_KEPT, at - 1))[:_KEPT]
        found = found[np.argsort(-similar[found], kind="stable")]
        nearest.append(tuple(found.tolist()))
        cosines.append(tuple(similar[found].tolist()))
    return Candidates(stream, tuple(nearest), tuple(cosines))


def replay(
    found: Candidates, probabilities: NDArray[np.float64], threshold: float
) -> list[tuple[float, bool]]:
    """Replay a stream from cold and return its hits: probability, and whether the answer serves.

    The best of the stored ones that the verifier looks at answers, a miss is stored.

    Args:
        found: what is near each request.
        probabilities: of `found.pairs()`.
        threshold: from which on one answers.
    """
    answers: list[int] = found.stream.answers.tolist()
    stored = [False] * len(answers)
    chances: list[float] = probabilities.tolist()
    hits = []
    begin = 0
    for at, nearest in enumerate(found.nearest):
        best, highest, looked = -1, threshold, 0
        for place, near in enumerate(nearest):
            if not stored[near]:
                continue
            chance = chances[begin + place]
            if chance >= highest:
                best, highest = near, chance
            looked += 1
            if looked == LOOKED_AT:
                break
        begin += len(nearest)
        if best < 0:
            stored[at] = True
        else:
            hits.append((highest, answers[best] == answers[at]))
    return hits


def outcome(found: Candidates, probabilities: NDArray[np.float64], threshold: float) -> Outcome:
    """Return what a threshold comes to."""
    hits = replay(found, probabilities, threshold)
    wrong = sum(not serves for _, serves in hits)
    return Outcome(len(found.stream.texts), len(hits), wrong)


def outcomes(
    found: Sequence[tuple[Candidates, NDArray[np.float64]]], thresholds: Sequence[float]
) -> list[Outcome]:
    """Return what thresholds come to on several streams together.

    Args:
        found: streams with their probabilities.
        thresholds: to replay at.
    """
    nothing = Outcome(0, 0, 0)
    return [
        sum((outcome(one, chances, threshold) for one, chances in found), nothing)
        for threshold in thresholds
    ]
