"""The trained verifier of an embedder: features, boosted trees, calibration."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from plugins.semantic_cache.verification import Verifier
from plugins.semantic_cache.verifying.calibration import between
from plugins.semantic_cache.verifying.features import disagreements, pair_features
from plugins.semantic_cache.verifying.reading import Reading, read
from plugins.semantic_cache.verifying.table import Looked, Lookup, WordTable
from plugins.semantic_cache.verifying.trees import Trees, logistic

_KEPT = 32


class TrainedVerifier:
    """Scores the features of a pair.

    Args:
        table: of learned words.
        trees: over the features.
        scale, bias: from the trees' log-odds to calibrated ones.
        thresholds: (budget, threshold) by rising budget.
    """

    def __init__(
        self,
        table: WordTable,
        trees: Trees,
        scale: float,
        bias: float,
        thresholds: tuple[tuple[float, float], ...],
    ) -> None:
        self.table = table
        self.trees = trees
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
        return logistic(self.scale * self.trees.score(row) + self.bias)

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
