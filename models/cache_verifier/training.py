"""Trains a tier's verifier, and calibrates it on utterances that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.cache_stream.streams import LENGTH, Utterance, stream
from models.cache_verifier.boosting import Floats, fit, scores
from models.cache_verifier.lookups import Candidates, candidates, outcomes
from models.cache_verifier.scoring import Comparing
from models.cache_verifier.sources import Pair
from plugins.semantic_cache.verifying.calibration import Point, lowest_within
from plugins.semantic_cache.verifying.table import WordTable
from plugins.semantic_cache.verifying.trained import combined
from plugins.semantic_cache.verifying.trees import Trees

Vectors = NDArray[np.float32]
Embedded = dict[str, Vectors]
BUDGETS = (0.002, 0.005, 0.007, 0.01, 0.015, 0.02, 0.035, 0.05, 0.07, 0.1)
# Of one point; the lowest of many is taken, and streams share utterances.
CONFIDENCE = 0.95
# Of CLINC150's lookups in training: requests a quarter, the nearest ones of each, and the share of
# what came before that is stored, about as in a running cache.
_REQUESTS = 4000
_NEAREST = 8
_STORED = 0.6
_FIRST = 200
# Lighter, more of GSM8K, Advising and the templates is lost than is won on the streams (measured).
_OTHERS_WEIGHT = 1.5
_SEEDS = (11, 12)
_GRID = 60
_LEAST_ODDS = -4.0


@dataclass(frozen=True, slots=True)
class Fold:
    """A part of CLINC150 with a table that has not seen it.

    Args:
        utterances: of the part.
        comparing: features by a table of the other part.
    """

    utterances: Sequence[Utterance]
    comparing: Comparing


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Trees and what makes their log-odds probabilities.

    Args:
        alike: trees over all folds.
        differing: trees over all folds and the other pairs.
        scale, bias: of the combined log-odds.
        thresholds: (budget, threshold).
        points: of the calibration curve.
    """

    alike: Trees
    differing: Trees
    scale: float
    bias: float
    thresholds: tuple[tuple[float, float], ...]
    points: tuple[Point, ...]


def train(
    folds: Sequence[Fold],
    others: Sequence[Pair],
    last: Comparing,
    vectors: Embedded,
) -> Calibrated:
    """Train on all folds, and calibrate each by what was trained on the other.

    Args:
        folds: two parts of CLINC150.
        others: labelled pairs of other sources.
        last: features by the table that is shipped.
        vectors: unit embedding of every text.
    """
    rows, labels = zip(*(_lookups(fold, vectors) for fold in folds), strict=True)
    more, serves = _others(others, last, vectors)
    crossed = [_fit(rows[1 - at], labels[1 - at], more, serves) for at in range(len(folds))]
    held = [_scores(trees, part) for trees, part in zip(crossed, rows, strict=True)]
    scale, bias = platt(np.concatenate(held), np.concatenate(labels))
    streams = []
    for fold, trees in zip(folds, crossed, strict=True):
        for seed in _SEEDS:
            found = clinc_candidates(fold.utterances, seed, vectors)
            odds = _scores(trees, fold.comparing.features(found.pairs()))
            streams.append((found, sigmoid(scale * odds + bias)))
    points = calibration_points(streams)
    thresholds = tuple((budget, lowest_within_each(points, budget)) for budget in BUDGETS)
    alike, differing = _fit(np.concatenate(rows), np.concatenate(labels), more, serves)
    return Calibrated(alike, differing, scale, bias, thresholds, points)


def clinc_candidates(
    utterances: Sequence[Utterance], seed: int, vectors: Embedded, length: int = LENGTH
) -> Candidates:
    """Return a stream of utterances with what is near each.

    Args:
        utterances: to draw from.
        seed: of the stream.
        vectors: unit embedding of every text.
        length: most requests.
    """
    drawn = stream(utterances, length, seed)
    return candidates(drawn, np.stack([vectors[text] for text in drawn.texts]))


def calibration_points(streams: Sequence[tuple[Candidates, Floats]]) -> tuple[Point, ...]:
    """Return the outcomes of streams by threshold, from strict to loose.

    Args:
        streams: with the probabilities of all candidates.
    """
    every = np.concatenate([chances for _, chances in streams])
    grid = np.unique(np.quantile(every, 1 - np.geomspace(0.002, 0.5, _GRID)))[::-1].tolist()
    found = outcomes(streams, grid)
    return tuple(
        Point(threshold, one.requests, one.hits, one.wrong)
        for threshold, one in zip(grid, found, strict=True)
    )


def lowest_within_each(points: Sequence[Point], budget: float) -> float:
    """Return the lowest threshold whose error is within a budget, each tested by itself.

    Neighbouring points share nearly all their hits, so testing them all costs next to nothing.

    Args:
        points: of the calibration streams.
        budget: wrong hits over hits.
    """
    return min(lowest_within([point], budget, CONFIDENCE) for point in points)


def platt(odds: Floats, serves: NDArray[np.bool_]) -> tuple[float, float]:
    """Return scale and bias that make log-odds probabilities (Platt 1999).

    Args:
        odds: of held-back lookups.
        serves: their labels.
    """
    from sklearn.linear_model import LogisticRegression

    # What is held back has odds of minus any size; they would bend the curve where hits are.
    near = odds > _LEAST_ODDS
    model = LogisticRegression(C=1e6).fit(odds[near, None], serves[near])
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def sigmoid(odds: Floats) -> Floats:
    """Return probabilities of log-odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -30, 30))))


def _fit(
    rows: Vectors, labels: NDArray[np.bool_], more: Vectors, serves: NDArray[np.bool_]
) -> tuple[Trees, Trees]:
    ones = np.ones(len(rows))
    weights = np.concatenate([ones, np.full(len(more), _OTHERS_WEIGHT)])
    every = np.concatenate([rows, more]), np.concatenate([labels, serves])
    return fit(rows, labels, ones), fit(*every, weights)


def _scores(trees: tuple[Trees, Trees], rows: Vectors) -> Floats:
    alike, differing = (scores(one, rows) for one in trees)
    return combined(alike, differing)


def _lookups(fold: Fold, vectors: Embedded) -> tuple[Vectors, NDArray[np.bool_]]:
    """Return features and labels of what a running cache would look at."""
    generator = np.random.default_rng(5)
    found: list[tuple[str, str, float]] = []
    labels: list[bool] = []
    order = [fold.utterances[at] for at in generator.permutation(len(fold.utterances))]
    units = np.stack([vectors[one.text] for one in order])
    stored = generator.random(len(order)) < _STORED
    for at in generator.choice(np.arange(_FIRST, len(order)), _REQUESTS, replace=False):
        before = np.flatnonzero(stored[:at])
        similar = units[before] @ units[at]
        for near in np.argpartition(-similar, _NEAREST)[:_NEAREST]:
            other = order[before[near]]
            found.append((order[at].text, other.text, float(similar[near])))
            labels.append(order[at].intent == other.intent != "oos")
    return fold.comparing.features(found), np.array(labels)


def _others(
    pairs: Sequence[Pair], comparing: Comparing, vectors: Embedded
) -> tuple[Vectors, NDArray[np.bool_]]:
    return with_cosines(pairs, comparing, vectors), np.array([pair.serves for pair in pairs])


def with_cosines(pairs: Sequence[Pair], comparing: Comparing, vectors: Embedded) -> Vectors:
    """Return the features of labelled pairs.

    Args:
        pairs: to compare.
        comparing: features by a table.
        vectors: unit embedding of every text.
    """
    return comparing.features(
        (one.asked, one.stored, float(vectors[one.asked] @ vectors[one.stored])) for one in pairs
    )


def table_bytes(table: WordTable) -> dict[str, NDArray[np.generic]]:
    """Return a table as it is shipped: a byte a number, and each row's scale.

    Args:
        table: of words.
    """
    scales = np.maximum(np.abs(table.rows).max(1), 1e-6) / 127
    names = "\n".join(sorted(table.places, key=table.places.__getitem__))
    return {
        "names": np.frombuffer(names.encode(), np.uint8),
        "rows": np.round(table.rows / scales[:, None]).astype(np.int8),
        "scales": scales.astype(np.float32),
        "rarities": table.rarities.astype(np.float16),
    }
