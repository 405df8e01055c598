"""The adaptive bound: a partition's threshold, moved by what is learned of answers served."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from math import exp
from typing import Any

from plugins.semantic_cache.verification import Verifier
from plugins.semantic_cache.verifying.intervals import certified

# Probabilities are counted in steps of a quarter in log-odds: those of .50 and .51 in one, those of
# .995 and .999 in six.
EDGES = tuple(1 / (1 + exp(-step / 4)) for step in range(-8, 41))
_CAUTION = 0.7
# A threshold so little above a wrong answer keeps just that one out.
_ABOVE = 1e-9
_MOST_CLEAN = 1 << 20


def starting_threshold(verifier: Verifier, max_error: float) -> float:
    """Return where an adaptive bound begins: at seven tenths of the budget, where there is such.

    Few labels cannot tell a rate just under the budget from one just over it; begun at the budget
    itself, chance alone takes the realised error over it in every second order.

    Args:
        verifier: of the embedder.
        max_error: the budget, wrong hits over hits.
    """
    cautious = verifier.threshold(_CAUTION * max_error)
    return cautious if cautious <= 1 else verifier.threshold(max_error)


class AdaptiveBound:
    """Keeps the share of wrong hits under a budget, with labels that come as the cache runs.

    The calibrated threshold is where it begins. It counts for as many clean labels as it takes to
    certify the budget, so that with few labels one wrong answer moves the threshold just above that
    answer, at once, and with many it does only if the budget is in danger. Below the calibrated
    threshold nothing is served until labels of that band alone certify it, at any time with the
    stated confidence. Labels below the threshold cost nothing: a near miss is answered upstream
    anyway, and the stored answer can be compared with that.

    Labels are taken as they come: from feedback, which reports the wrong ones more often, the bound
    only turns out stricter.

    Args:
        max_error: the budget, wrong hits over hits, 0 < max_error < 1.
        calibrated: where it begins (`starting_threshold`); over 1 where the verifier has none.
        confidence: that a threshold below the calibrated one, or one that labels have spoken
            against, is within the budget.
    """

    def __init__(self, max_error: float, calibrated: float, confidence: float = 0.95) -> None:
        self._max_error = max_error
        self._calibrated = calibrated
        self._confidence = confidence
        self._good = [0] * (len(EDGES) + 1)
        self._bad = [0] * (len(EDGES) + 1)
        # A wrong answer counts at its own probability, not at its step's: it is never served again.
        self._highest_bad = [0.0] * (len(EDGES) + 1)
        self._clean = _clean_labels(max_error, confidence)
        self._threshold = calibrated

    @property
    def threshold(self) -> float:
        """The probability from which on to serve now; over 1 where nothing may be."""
        return self._threshold

    @property
    def labels(self) -> int:
        """How many labels there were."""
        return sum(self._good) + sum(self._bad)

    @property
    def wrong(self) -> int:
        """How many of them said wrong."""
        return sum(self._bad)

    def observe(self, probability: float, correct: bool) -> None:
        """Take the label of an answer that was served, or would have been.

        Args:
            probability: the verifier's, of that pair.
            correct: whether the stored answer serves.
        """
        at = bisect_right(EDGES, probability)
        if correct:
            self._good[at] += 1
        else:
            self._bad[at] += 1
            self._highest_bad[at] = max(self._highest_bad[at], probability)
        self._threshold = self._lowest()

    def to_json(self) -> dict[str, Any]:
        """Return all labels as a JSON object of a few hundred bytes."""
        return {
            "good": {str(at): count for at, count in enumerate(self._good) if count},
            "bad": {
                str(at): [count, self._highest_bad[at]]
                for at, count in enumerate(self._bad)
                if count
            },
        }

    @classmethod
    def from_json(
        cls,
        said: Mapping[str, Any],
        max_error: float,
        calibrated: float,
        confidence: float = 0.95,
    ) -> AdaptiveBound:
        """Return a bound with labels of before; the budget may be another by now.

        Args:
            said: what `to_json` returned.
            max_error: as in the class.
            calibrated: as in the class.
            confidence: as in the class.

        Raises:
            ValueError: it is no such object.
        """
        bound = cls(max_error, calibrated, confidence)
        try:
            for at, count in said["good"].items():
                bound._good[int(at)] = int(count)
            for at, (count, highest) in said["bad"].items():
                bound._bad[int(at)] = int(count)
                bound._highest_bad[int(at)] = float(highest)
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            raise ValueError("these are no labels of an adaptive bound") from error
        bound._threshold = bound._lowest()
        return bound

    def _lowest(self) -> float:
        """Return the lowest threshold within the budget, from the strictest down to the first not.

        In that order each is tested only if all above it hold: their errors need no correction.
        """
        first = bisect_right(EDGES, self._calibrated)
        good = bad = 0
        for at in range(len(EDGES), first - 1, -1):
            good += self._good[at]
            bad += self._bad[at]
            if not self._holds(bad, good + bad):
                # What lies above this step's highest wrong answer held one step before.
                return max(self._highest_bad[at] + _ABOVE, self._calibrated)
        return self._calibrated if self._calibrated > 1 else self._loosened(first, bad, good + bad)

    def _loosened(self, first: int, bad: int, labels: int) -> float:
        lowest = self._calibrated
        band_bad = band = 0
        for at in range(first - 1, 0, -1):
            band_bad += self._bad[at]
            band += self._good[at] + self._bad[at]
            within = certified(band_bad, band, self._max_error, self._confidence)
            if within and self._holds(bad + band_bad, labels + band):
                lowest = EDGES[at - 1]
            elif band_bad:
                break
        return lowest

    def _holds(self, wrong: int, labels: int) -> bool:
        if not wrong:
            return True
        return certified(wrong, labels + self._clean, self._max_error, self._confidence)


def _clean_labels(max_error: float, confidence: float) -> int:
    """Return how many labels without a wrong one certify a budget."""
    low, high = 0, 1
    while not certified(0, high, max_error, confidence) and high < _MOST_CLEAN:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if certified(0, middle, max_error, confidence) else (middle, high)
    return high
