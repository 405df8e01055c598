"""The shipped verifiers on what training never saw: streams, pairs, and the adaptive bound."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.cache_stream.replay import Outcome
from models.cache_verifier.boosting import scores
from models.cache_verifier.lookups import LOOKED_AT, Candidates
from models.cache_verifier.scoring import Comparing, Readings
from models.cache_verifier.sources import Pair
from models.cache_verifier.training import sigmoid
from plugins.semantic_cache.verifying import AdaptiveBound
from plugins.semantic_cache.verifying.calibration import UNSUPPORTED, curve, lowest_within
from plugins.semantic_cache.verifying.trained import TrainedVerifier, combined

Floats = NDArray[np.float64]
Labelled = list[tuple[float, bool]]
_RESAMPLED = 300


@dataclass(frozen=True, slots=True)
class Judged:
    """Labelled pairs with what was made of them.

    Args:
        pairs: the pairs.
        probabilities: of the verifier.
        cosines: of the embedder.
    """

    pairs: tuple[Pair, ...]
    probabilities: Floats
    cosines: Floats

    @property
    def serves(self) -> NDArray[np.bool_]:
        """The labels."""
        return np.array([pair.serves for pair in self.pairs])

    def part(self, keep: Sequence[bool]) -> Judged:
        """Return some of them."""
        chosen = np.flatnonzero(np.asarray(keep))
        return Judged(
            tuple(self.pairs[at] for at in chosen),
            self.probabilities[chosen],
            self.cosines[chosen],
        )

    def outcome(self, threshold: float) -> Outcome:
        """Return what a threshold comes to."""
        served = self.probabilities >= threshold
        return Outcome(len(served), int(served.sum()), int((served & ~self.serves).sum()))

    def own_threshold(self, budget: float) -> float:
        """Return the threshold that an operator's re-fit on these pairs gives."""
        labelled = list(zip(self.probabilities.tolist(), self.serves.tolist(), strict=True))
        return lowest_within(curve(labelled), budget, 0.95)

    def best_threshold(self, budget: float) -> float:
        """Return the lowest threshold within a budget in hindsight; over 1 for none."""
        order = np.argsort(-self.probabilities, kind="stable")
        wrong = np.cumsum(~self.serves[order])
        within = np.flatnonzero(wrong <= budget * np.arange(1, len(order) + 1))
        return float(self.probabilities[order[within[-1]]]) if len(within) else UNSUPPORTED


class Scorer:
    """Scores many pairs at once, to the same probabilities as when serving.

    Args:
        verifier: a shipped one.
        readings: of questions, kept for all scorers.
    """

    def __init__(self, verifier: TrainedVerifier, readings: Readings) -> None:
        self._verifier = verifier
        self._comparing = Comparing(verifier.table, readings)

    def chances(self, pairs: Iterable[tuple[str, str, float]]) -> Floats:
        """Return the probabilities of (asked, stored, cosine)."""
        rows = self._comparing.features(pairs)
        verifier = self._verifier
        odds = combined(scores(verifier.alike, rows), scores(verifier.differing, rows))
        return sigmoid(self._verifier.scale * odds + self._verifier.bias)

    def judge(self, pairs: Sequence[Pair], vectors: dict[str, NDArray[np.float32]]) -> Judged:
        """Score labelled pairs.

        Args:
            pairs: labelled ones.
            vectors: unit embedding of every text.
        """
        cosines = [float(vectors[one.asked] @ vectors[one.stored]) for one in pairs]
        triples = [(one.asked, one.stored, c) for one, c in zip(pairs, cosines, strict=True)]
        return Judged(tuple(pairs), self.chances(triples), np.array(cosines))


def area(scores: Floats, serves: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: the chance that a true pair scores above a false one."""
    from scipy.stats import rankdata

    ranks = rankdata(scores)
    true = int(serves.sum())
    false = len(serves) - true
    return float((ranks[serves].sum() - true * (true + 1) / 2) / (true * false))


def area_interval(scores: Floats, serves: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the 95 % interval of the area over resampled pairs."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(_RESAMPLED):
        at = generator.integers(len(serves), size=len(serves))
        found.append(area(scores[at], serves[at]))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def best_of_each(found: Candidates, probabilities: Floats) -> Labelled:
    """Return of each request of a stream the best of what is near: probability and label."""
    answers = found.stream.answers
    labelled = []
    begin = 0
    for at, nearest in enumerate(found.nearest):
        chances = probabilities[begin : begin + min(len(nearest), LOOKED_AT)]
        begin += len(nearest)
        if len(chances):
            best = int(np.argmax(chances))
            labelled.append((float(chances[best]), bool(answers[nearest[best]] == answers[at])))
    return labelled


def realised(
    labelled: Labelled, max_error: float, calibrated: float, shadow: float, seed: int
) -> Outcome:
    """Return what an adaptive bound serves of lookups in a random order.

    Near misses are labelled, for upstream answers them anyway, and a share of the hits.

    Args:
        labelled: best candidate of each lookup.
        max_error: the budget.
        calibrated: the shipped threshold.
        shadow: share of hits that is labelled.
        seed: of the order.
    """
    generator = np.random.default_rng(seed)
    bound = AdaptiveBound(max_error, calibrated)
    hits = wrong = 0
    for at in generator.permutation(len(labelled)):
        probability, serves = labelled[at]
        if probability >= bound.threshold:
            hits += 1
            wrong += not serves
            if generator.random() >= shadow:
                continue
        elif probability < 0.5:
            continue
        bound.observe(probability, serves)
    return Outcome(len(labelled), hits, wrong)
