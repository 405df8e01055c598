"""Verification: whether what was asked before is what is asked now."""

from __future__ import annotations

from typing import Protocol


class Verifier(Protocol):
    """Gives the probability that the answer to one question answers another.

    It is made for one embedder: cosines of another mean something else.
    """

    def probability(self, asked: str, stored: str, cosine: float) -> float:
        """Return the calibrated probability that the stored answer serves, in at most 200 µs.

        Args:
            asked: the question of now, as its client wrote it.
            stored: the question that the answer was given to.
            cosine: of their embeddings.
        """

    def disagreements(self, asked: str, stored: str) -> tuple[str, ...]:
        """Name what differs, in fixed words: `number`, `negation`, `entity`, `order`, ….

        They tell people why a near question was not served; they decide nothing by themselves.
        """

    def threshold(self, max_error: float) -> float:
        """Return the probability from which on at most a share of hits is wrong.

        Args:
            max_error: wrong hits over hits, 0 < max_error < 1.

        Returns:
            Over 1 where the calibration data supports no threshold of that budget.
        """
