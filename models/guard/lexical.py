"""The tiny tier's guard heads: weights of tokens and pairs, and a linear map of the mean.

A head is fitted to spans, because a window is judged by its most telling one. Which span of an
attack that is, the last fit says: first all spans count as the attack, then the telling ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.guard.samples import HEADS, Samples, targets
from pipeline.inference.contract import Ids
from pipeline.inference.lexicon import PAIRS, SHORTNESS, SINGLES, pairs, spans

TABLE = 2**17
_PAIR_SHARE = 1.2
_MEAN_SHARE = 1 / 80
_STRENGTH = 10.0
_ROUNDS = 3
Floats = NDArray[np.float64]
Places = NDArray[np.intp]
Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _Spans:
    """The spans of windows.

    Args:
        inputs: sparse [spans, vocabulary + TABLE + dimensions], scaled.
        owners: [spans], the window that each is of.
        rarity: [vocabulary + TABLE], how much an entry counts; 0 for those seen once.
        centre: [dimensions], of the means.
        spread: [dimensions], of the means.
    """

    inputs: Any
    owners: Places
    rarity: Floats
    centre: Floats
    spread: Floats


def train(
    samples: Samples, means: Floats, vocabulary: int, heads: Sequence[str] = HEADS
) -> Mapping[str, NDArray[Any]]:
    """Fit the heads and return their tensors, among them the lexicon that they share.

    Args:
        samples: to train on; windows without special tokens.
        means: [windows, dimensions], the mean embedding of each.
        vocabulary: how many tokens there are.
        heads: which ones.
    """
    found = _spans(samples.windows, means, vocabulary)
    entries = len(found.rarity)
    columns = np.zeros((entries, len(heads) + 1))
    columns[:, -1] = found.rarity**2
    tensors: Tensors = {}
    for number, head in enumerate(heads):
        weights, bias = _fitted(found, *targets(samples, head))
        columns[:, number] = weights[:entries] * found.rarity
        linear = weights[entries:] * _MEAN_SHARE / found.spread
        own = np.eye(len(heads))[number]
        tensors[f"{head}.0.weight"] = np.concatenate([linear, own])[None].astype(np.float32)
        tensors[f"{head}.0.bias"] = np.array([bias - linear @ found.centre], np.float32)
    tensors[SINGLES] = columns[:vocabulary].astype(np.float16)
    tensors[PAIRS] = columns[vocabulary:].astype(np.float16)
    return tensors


def _fitted(found: _Spans, wanted: Floats, weights: Floats) -> tuple[Floats, float]:
    """Return the weights of the entries and dimensions, and the bias.

    Args:
        found: the spans.
        wanted: [windows], 0 or 1.
        weights: [windows].
    """
    from sklearn.linear_model import LogisticRegression

    each = np.bincount(found.owners, minlength=len(wanted))[found.owners]
    attack = wanted[found.owners] == 1
    # Every span of a harmless window is harmless; together they count as half its spans do.
    share = np.where(attack, 1 / each, each**-0.5)
    for _ in range(_ROUNDS):
        counts = weights[found.owners] * share
        rows = counts > 0
        model = LogisticRegression(C=_STRENGTH, max_iter=300, random_state=0)
        model.fit(found.inputs[rows], wanted[found.owners][rows], sample_weight=counts[rows])
        logits = model.decision_function(found.inputs)
        best = np.full(len(wanted), -np.inf)
        np.maximum.at(best, found.owners, logits)
        share = np.where(attack, logits >= best[found.owners], each**-0.5)
    return model.coef_[0], float(model.intercept_[0])


def _spans(windows: Sequence[Ids], means: Floats, vocabulary: int) -> _Spans:
    import scipy.sparse as sp

    rows: list[Places] = []
    entries: list[Places] = []
    owners: list[int] = []
    for owner, ids in enumerate(windows):
        both = pairs(ids, TABLE) + vocabulary if len(ids) > 1 else np.zeros(0, np.intp)
        for begin, end in zip(*spans(len(ids)), strict=True):
            inside = np.concatenate([ids[begin:end].astype(np.intp), both[begin:end]])
            rows.append(np.full(len(inside), len(owners)))
            entries.append(inside)
            owners.append(owner)
    place, entry = np.concatenate(rows), np.concatenate(entries)
    shape = (len(owners), vocabulary + TABLE)
    counts = sp.csr_matrix((np.ones(len(place), np.float32), (place, entry)), shape=shape)
    having = np.asarray((counts > 0).sum(0))[0]
    rarity = np.log((1 + shape[0]) / (1 + having)) + 1
    rarity[having < 2] = 0
    rarity[vocabulary:] *= _PAIR_SHARE
    owned = np.array(owners, np.intp)
    centre, spread = means.mean(0), means.std(0) + 1e-9
    # The length of a span is the root of the sum of its entries' squares, each as often as it is.
    lengths = np.sqrt(counts @ rarity**2 + SHORTNESS)
    bags = sp.diags(1 / lengths) @ counts @ sp.diags(rarity)
    beside = sp.csr_matrix(((means - centre) / spread * _MEAN_SHARE)[owned])
    inputs = sp.hstack([bags, beside]).tocsr().astype(np.float32)
    return _Spans(inputs, owned, rarity, centre, spread)
