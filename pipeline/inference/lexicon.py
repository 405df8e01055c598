"""A table of token weights: what single tokens and pairs of neighbours say, by look-up alone.

A column of a window is that of its most telling span of a few dozen tokens: the sum of the
weights of its tokens and pairs over the length of the span, as a cosine has it. So a short
attack in a long window counts, and a long window does not say more than a short one. Pairs are
hashed into a table; those that share a place share a weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.contract import Ids, Vector

SINGLES = "lexicon.singles"
PAIRS = "lexicon.pairs"
SPAN_TOKENS = 48
STRIDE_TOKENS = 16
# Added to the square of a length: one or two words alone say little, whatever they are.
SHORTNESS = 150.0
# Multiplicative hashing: the high bits of a product with an odd constant.
_LEFT = np.uint64(1_000_003)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_BITS = 64
# A window of 256 tokens takes 15 KB.
_MOST_LENGTHS = 512

Places = NDArray[np.intp]


class Lexicon:
    """Columns of numbers that heads read beside a window's features.

    Args:
        weights: `lexicon.singles` [vocabulary, columns + 1] and `lexicon.pairs` [a power of two,
            columns + 1]; the last column is what an entry adds to the square of a span's
            length. Without them there are no columns.
    """

    def __init__(self, weights: Mapping[str, NDArray[np.floating]]) -> None:
        empty = np.zeros((1, 1), np.float32)
        self._singles = np.ascontiguousarray(weights.get(SINGLES, empty), np.float32)
        self._pairs = np.ascontiguousarray(weights.get(PAIRS, empty), np.float32)

    @property
    def width(self) -> int:
        """How many columns there are; none without a table."""
        return int(self._singles.shape[1]) - 1

    def columns(self, windows: Sequence[Ids]) -> Vector:
        """Return float32 [windows, columns].

        Args:
            windows: token ids, without special tokens.
        """
        out = np.zeros((len(windows), self.width), np.float32)
        if not self.width:
            return out
        for row, ids in enumerate(windows):
            if len(ids):
                out[row] = self._window(ids)
        return out

    def _window(self, ids: Ids) -> Vector:
        """Return the columns of one window."""
        # `take` is three times as fast as an index here.
        each = self._singles.take(ids, axis=0)
        each[:-1] += self._pairs.take(pairs(ids, len(self._pairs)), axis=0)
        total = _in_spans(len(ids)) @ each
        lengths = np.sqrt(total[:, -1:] + SHORTNESS)
        return np.asarray(np.maximum.reduce(total[:, :-1] / lengths))


@lru_cache(_MOST_LENGTHS)
def _in_spans(length: int) -> Vector:
    """Return which tokens of a window are in which span, [spans, tokens] of ones. Read only."""
    begins, ends = spans(length)
    places = np.arange(length)
    held = (places >= begins[:, None]) & (places < ends[:, None])
    return held.astype(np.float32)


def spans(length: int) -> tuple[Places, Places]:
    """Return where the spans of a window begin and end; the last one ends with it.

    Args:
        length: of the window, in tokens.
    """
    begins = np.arange(0, max(length - SPAN_TOKENS, 0) + STRIDE_TOKENS, STRIDE_TOKENS)
    begins = np.minimum(begins, max(length - SPAN_TOKENS, 0))
    return begins, np.minimum(begins + SPAN_TOKENS, length)


def pairs(ids: Ids, size: int) -> Places:
    """Return the places of a window's pairs of neighbours in a table, one less than tokens.

    Args:
        ids: token ids.
        size: of the table, a power of two.
    """
    wide = ids.astype(np.uint64)
    mixed = (wide[:-1] * _LEFT + wide[1:]) * _SPREAD
    return np.asarray(mixed >> np.uint64(_BITS - size.bit_length() + 1)).astype(np.intp)
