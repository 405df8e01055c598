"""The trained verifier of an embedder: features, boosted trees, calibration."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from plugins.semantic_cache.verification import Verifier
from plugins.semantic_cache.verifying.calibration import between
from plugins.semantic_cache.verifying.features import disagreements, pair_features
from plugins.semantic_cache.verifying.reading import Reading, read
from plugins.semantic_cache.verifying.table import Looked, Lookup, WordTable
from plugins.semantic_cache.verifying.trees import Trees, logistic

_KEPT = 32
# Log-odds from which on no difference is held against a pair, and what each unit below costs:
# chosen on lookups and pairs that the trees have not seen.
_SURE = 2.5
_COST = 6.0
Score = TypeVar("Score", float, NDArray[np.float64])


def combined(alike: Score, differing: Score) -> Score:
    """Return the log-odds of a pair, before calibration.

    What makes the surest lookups of a running cache is not what tells minimal pairs apart: trees
    that learn both from one sample put the surest lookups in the wrong order. So the first rank,
    and the second hold back.

    Args:
        alike: log-odds of trees that have seen lookups alone.
        differing: of trees that have seen minimal pairs as well.
    """
    over = differing - _SURE
    return alike + _COST * (over - abs(over)) / 2  # what is over costs nothing


class TrainedVerifier:
    """Scores the features of a pair.

    Args:
        table: of learned words.
        alike: trees over the features that have seen lookups alone.
        differing: trees that have seen minimal pairs as well.
        scale, bias: from the combined log-odds to calibrated ones.
        thresholds: (budget, threshold) by rising budget.
    """

    def __init__(
        self,
        table: WordTable,
        alike: Trees,
        differing: Trees,
        scale: float,
        bias: float,
        thresholds: tuple[tuple[float, float], ...],
    ) -> None:
        self.table = table
        self.alike = alike
        self.differing = differing
        self.scale = scale
        self.bias = bias
        self._lookup = Lookup(table)
        # One question is compared with several.
        self._read = lru_cache(maxsize=_KEPT)(self._taken_apart)
        self._thresholds = thresholds

    def probability(self, asked: str, stored: str, cosine: float) -> float:
        """Return the calibrated probability that the stored answer serves."""
        a, left = self._read(asked)
        b, right = self._read(stored)
        row = np.array(pair_features(a, b, cosine, left, right), np.float32)
        odds = combined(self.alike.score(row), self.differing.score(row))
        return logistic(self.scale * odds + self.bias)

    def disagreements(self, asked: str, stored: str) -> tuple[str, ...]:
        """Name what differs, in fixed words; nothing where only the wording does."""
        return disagreements(asked, stored)

    def threshold(self, max_error: float) -> float:
        """Return the probability from which on at most so many hits are wrong; over 1 for none."""
        return between(self._thresholds, max_error)

    def _taken_apart(self, text: str) -> tuple[Reading, Looked]:
        reading = read(text)
        return reading, self._lookup.look(reading.tokens)


_: type[Verifier] = TrainedVerifier
