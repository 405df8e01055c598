"""Routers side by side: scores of questions that a router was not fitted to, and their figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.routing.protocol import Curve, Floats, bootstrap, curve, oracle
from models.routing.questions import Questions
from models.routing.scorer import fit

Split = Literal["random", "category"]
FOLDS = 5
SEED = 0
_NEIGHBOURS = 40


@dataclass(frozen=True, slots=True)
class DataSet:
    """Questions with what routers read of them.

    Args:
        questions: and who answered them well.
        embeddings: (n, dimensions).
        features: (n, features) of `text_features`.
    """

    questions: Questions
    embeddings: Floats
    features: Floats

    def part(self, chosen: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
        """Return embeddings, features and the share of weak answers that sufficed."""
        return self.embeddings[chosen], self.features[chosen], self.questions.suffices[chosen]


@dataclass(frozen=True, slots=True)
class Line:
    """A router's figures.

    Args:
        router: its name.
        curve: of quality over calls to the strong model.
        low: end of the 95 % interval of APGR.
        high: the other end.
    """

    router: str
    curve: Curve
    low: float
    high: float


def lines(data_set: DataSet, others: Sequence[DataSet], split: Split) -> list[Line]:
    """Return the figures of the head and of all baselines.

    Args:
        data_set: that figures are of.
        others: that the head learns from too.
        split: what is held out, a random fifth or a whole category at a time.
    """
    questions = data_set.questions
    scored: dict[str, Floats] = {
        "head": held_out(data_set, others, split),
        "prompt length": -np.array([len(text) for text in questions.texts], float),
        "kNN": _baseline(data_set, split, _knn),
        "logistic regression": _baseline(data_set, split, _logistic),
        "random": np.zeros(len(questions)),
        "oracle": oracle(questions.weak, questions.strong),
    }
    return [_line(name, scores, questions) for name, scores in scored.items()]


def folds(questions: Questions, split: Split) -> Iterator[NDArray[np.bool_]]:
    """Yield which questions are held out, each question once."""
    if split == "random":
        place = np.random.default_rng(SEED).integers(FOLDS, size=len(questions))
        yield from (place == fold for fold in range(FOLDS))
    else:
        yield from (questions.categories == name for name in np.unique(questions.categories))


def held_out(data_set: DataSet, others: Sequence[DataSet], split: Split) -> Floats:
    """Return the head's score of each question, fitted without it and those held out with it."""
    everything = [one.part(np.ones(len(one.questions), bool)) for one in others]
    scores = np.zeros(len(data_set.questions))
    for out in folds(data_set.questions, split):
        about, looks, wanted = zip(data_set.part(~out), *everything, strict=True)
        scorer = fit(about, looks, wanted)
        scores[out] = scorer(data_set.embeddings[out], data_set.features[out])
    return scores


def _baseline(
    data_set: DataSet, split: Split, router: Callable[[Floats, Floats, Floats], Floats]
) -> Floats:
    """Return a baseline's scores; each fold's without the level of what it was fitted to.

    Without a hard category the rest is easier: scores of folds would differ by that alone.
    """
    scores = np.zeros(len(data_set.questions))
    for out in folds(data_set.questions, split):
        about, _, wanted = data_set.part(~out)
        scores[out] = router(about, wanted, data_set.embeddings[out]) - wanted.mean()
    return scores


def _knn(about: Floats, wanted: Floats, asked: Floats) -> Floats:
    near = _unit(asked) @ _unit(about).T
    chosen = np.argpartition(-near, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
    return np.asarray(wanted[chosen].mean(axis=1))


def _logistic(about: Floats, wanted: Floats, asked: Floats) -> Floats:
    from sklearn.linear_model import LogisticRegression

    unit, spread = about - about.mean(axis=0), about.std(axis=0) + 1e-6
    model = LogisticRegression(C=0.01, max_iter=300)
    model.fit(
        np.concatenate([unit, unit]) / spread,
        np.repeat([1, 0], len(wanted)),
        sample_weight=np.concatenate([wanted, 1 - wanted]),
    )
    chances: Mapping[int, Floats] = dict(
        enumerate(model.predict_proba((asked - about.mean(axis=0)) / spread).T)
    )
    return chances[1]


def _unit(vectors: Floats) -> Floats:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1))


def _line(name: str, scores: Floats, questions: Questions) -> Line:
    drawn = curve(scores, questions.weak, questions.strong)
    return Line(name, drawn, *bootstrap(scores, questions.weak, questions.strong, SEED))
