"""Features of many pairs: each question is taken apart once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from plugins.semantic_cache.verifying.features import NAMES, pair_features
from plugins.semantic_cache.verifying.reading import Reading, read
from plugins.semantic_cache.verifying.table import Looked, Lookup, WordTable

Rows = NDArray[np.float32]


class Readings:
    """Questions taken apart, kept for all comparisons that follow."""

    def __init__(self) -> None:
        self._kept: dict[str, Reading] = {}

    def __getitem__(self, text: str) -> Reading:
        found = self._kept.get(text)
        if found is None:
            found = self._kept[text] = read(text)
        return found


class Comparing:
    """Computes features with one table of words.

    Args:
        table: of the words.
        readings: of questions, shared by all tables.
    """

    def __init__(self, table: WordTable, readings: Readings) -> None:
        self._lookup = Lookup(table)
        self._readings = readings
        self._looked: dict[str, Looked] = {}

    def features(self, pairs: Iterable[tuple[str, str, float]]) -> Rows:
        """Return (n, features) of pairs.

        Args:
            pairs: asked, stored, cosine.
        """
        rows = [
            pair_features(
                self._readings[asked], self._readings[stored], cosine, self._look(asked),
                self._look(stored),
            )
            for asked, stored, cosine in pairs
        ]  # fmt: skip
        return np.array(rows, np.float32).reshape(-1, len(NAMES))

    def _look(self, text: str) -> Looked:
        found = self._looked.get(text)
        if found is None:
            found = self._looked[text] = self._lookup.look(self._readings[text].tokens)
        return found
