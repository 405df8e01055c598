"""The figures: hit rate at a budget of wrong hits, with the threshold from other streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.cache_stream.replay import Outcome, Replay, exact, oracle, pooled
from models.cache_stream.streams import Stream

Embedder = Callable[[Sequence[str]], NDArray[np.float32]]
"""Returns (n, d) embeddings of texts, of any length."""

THRESHOLDS = (
    *np.arange(0.50, 0.90, 0.02).tolist(),
    *np.arange(0.90, 1.0, 0.005).tolist(),
    0.9999,
)
BUDGETS = (0.005, 0.01, 0.02, 0.05)
# Fewer judged hits without an error do not show that one in a hundred at most is wrong.
LEAST_HITS = 300


@dataclass(frozen=True, slots=True)
class Figure:
    """What a budget of wrong hits buys.

    Args:
        budget: the share of hits that may be wrong.
        threshold: chosen on the calibration streams.
        test: what it came to on the test streams.
        hindsight: of the threshold that would have been best on the test streams.
        full: the same on streams of all utterances, with which published figures compare.
    """

    budget: float
    threshold: float
    test: Outcome
    hindsight: Outcome
    full: Outcome

    @property
    def supported(self) -> bool:
        """Whether there were hits enough to speak of an error of one in a hundred."""
        return self.test.hits >= LEAST_HITS


@dataclass(frozen=True, slots=True)
class Report:
    """All that was measured of an embedder.

    Args:
        figures: by budget.
        curve: outcome by threshold, of the test streams.
        exact: of a cache that answers the same text only.
        oracle: of a cache that knows all answers.
    """

    figures: tuple[Figure, ...]
    curve: tuple[tuple[float, Outcome], ...]
    exact: Outcome
    oracle: Outcome

    def figure(self, budget: float) -> Figure:
        """Return the figure of a budget."""
        return next(figure for figure in self.figures if figure.budget == budget)


def measure(
    embedder: Embedder,
    calibration: Sequence[Stream],
    test: Sequence[Stream],
    full: Sequence[Stream] = (),
) -> Report:
    """Replay all streams at all thresholds.

    Args:
        embedder: of texts; each distinct text is embedded once.
        calibration: streams that thresholds are chosen on; no text of theirs is in `test`.
        test: streams that figures are of.
        full: streams of all texts together, for hindsight only; `test` without any.
    """
    texts = list(dict.fromkeys(text for one in (*calibration, *test, *full) for text in one.texts))
    vectors = _unit(embedder(texts))
    place = {text: at for at, text in enumerate(texts)}
    known = _outcomes(calibration, vectors, place)
    seen = _outcomes(test, vectors, place)
    whole = _outcomes(full, vectors, place) if full else seen
    return Report(
        tuple(_figure(budget, known, seen, whole) for budget in BUDGETS),
        tuple(zip(THRESHOLDS, seen, strict=True)),
        pooled([exact(stream) for stream in test]),
        pooled([oracle(stream) for stream in test]),
    )


def choose(outcomes: Sequence[Outcome], budget: float) -> int:
    """Return the index of the outcome with most hits of those within budget; the last if none.

    Args:
        outcomes: by threshold, rising.
        budget: the share of hits that may be wrong.
    """
    within = [at for at, one in enumerate(outcomes) if one.hits and one.wrong_of_hits <= budget]
    return max(within, key=lambda at: outcomes[at].hits, default=len(outcomes) - 1)


def _figure(
    budget: float, known: Sequence[Outcome], seen: Sequence[Outcome], whole: Sequence[Outcome]
) -> Figure:
    chosen = choose(known, budget)
    best, full = seen[choose(seen, budget)], whole[choose(whole, budget)]
    return Figure(budget, THRESHOLDS[chosen], seen[chosen], best, full)


def _outcomes(
    streams: Sequence[Stream], vectors: NDArray[np.float32], place: dict[str, int]
) -> list[Outcome]:
    by_stream = []
    for stream in streams:
        replay = Replay(stream, vectors[[place[text] for text in stream.texts]])
        by_stream.append([replay.at(threshold) for threshold in THRESHOLDS])
    return [pooled(outcomes) for outcomes in zip(*by_stream, strict=True)]


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)
