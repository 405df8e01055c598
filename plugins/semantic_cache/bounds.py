"""The thresholds of a cache: the calibrated one, and what each partition has learned since."""

from __future__ import annotations

from collections import OrderedDict, deque

from plugins.semantic_cache.verifying.adaptive import AdaptiveBound

NEVER = 2.0
"""The threshold that no probability reaches."""

_MOST_PARTITIONS = 10_000
_MOST_SERVED = 100_000
_MOST_LABELS = 100_000


class Bounds:
    """Thresholds by partition; what has no labels of its own has the calibrated one.

    Args:
        max_error: the false-hit budget.

    `labels` has what was learned of all partitions together, by probability.
    """

    def __init__(self, max_error: float) -> None:
        self._max_error = max_error
        self._calibrated = NEVER
        self._bounds: OrderedDict[bytes, AdaptiveBound] = OrderedDict()
        self._served: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self.labels: deque[tuple[float, bool]] = deque(maxlen=_MOST_LABELS)

    def calibrate(self, threshold: float) -> None:
        """Begin anew from a threshold: probabilities of another verifier mean something else."""
        self._calibrated = threshold
        self._bounds.clear()
        self._served.clear()
        self.labels.clear()

    def threshold(self, partition: bytes) -> float:
        """Return the probability from which on to serve in a partition."""
        bound = self._bounds.get(partition)
        return self._calibrated if bound is None else bound.threshold

    def note_served(self, entry_id: str, partition: bytes, probability: float) -> None:
        """Remember with what probability an entry was served last, for feedback to come."""
        self._served[entry_id] = partition, probability
        self._served.move_to_end(entry_id)
        if len(self._served) > _MOST_SERVED:
            self._served.popitem(last=False)

    def judge_served(self, entry_id: str, *, correct: bool) -> bool:
        """Learn from a verdict on an entry; returns whether it is known as one served."""
        served = self._served.get(entry_id)
        if served is None:
            return False
        self.judge(*served, correct=correct)
        return True

    def judge(self, partition: bytes, probability: float, *, correct: bool) -> None:
        """Learn whether an answer of some probability served."""
        self.labels.append((probability, correct))
        bound = self._bounds.pop(partition, None) or AdaptiveBound(
            self._max_error, self._calibrated
        )
        self._bounds[partition] = bound
        bound.observe(probability, correct)
        if len(self._bounds) > _MOST_PARTITIONS:
            self._bounds.popitem(last=False)
