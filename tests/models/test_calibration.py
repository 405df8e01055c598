from __future__ import annotations

import numpy as np
import pytest

from models.evaluation.figures import auc, recall_at, resampled, share
from models.guard.calibration import (
    balanced,
    expected_error,
    platt,
    temperature,
    threshold,
)

CHANCE = np.random.default_rng(0)


def test_platt_finds_the_scale_and_bias_that_made_the_labels():
    logits = CHANCE.normal(size=20_000) * 3
    labels = (CHANCE.random(20_000) < 1 / (1 + np.exp(-(0.5 * logits + 1)))).astype(np.intp)

    found = platt(logits, labels, np.ones(len(logits)))

    assert found.scale == pytest.approx(0.5, abs=0.05)
    assert found.bias == pytest.approx(1, abs=0.1)


def test_temperature_finds_the_scale_that_made_the_labels():
    logits = CHANCE.normal(size=(20_000, 3)) * 2
    chances = np.exp(0.7 * logits)
    chances /= chances.sum(1, keepdims=True)
    labels = (CHANCE.random((20_000, 1)) > chances.cumsum(1)).sum(1)

    assert temperature(logits, labels).scale == pytest.approx(0.7, abs=0.05)


def test_sources_and_labels_count_alike():
    labels = np.array([0] * 90 + [0] * 10 + [1] * 5)
    sources = np.array(["big"] * 90 + ["small"] * 10 + ["attack"] * 5)

    weights = balanced(labels, sources)

    assert weights[labels == 1].sum() == pytest.approx(weights[labels == 0].sum())
    assert weights[95] > weights[0]


def test_a_threshold_lets_one_in_a_hundred_harmless_texts_pass():
    chances = np.concatenate([np.linspace(0, 0.9, 1000), [0.95]])
    labels = np.array([0] * 1000 + [1])

    found = threshold(chances, labels, np.array(["a"] * 1001))

    assert (chances[:1000] >= found).mean() == pytest.approx(0.01, abs=0.003)


def test_true_probabilities_have_no_calibration_error():
    chances = CHANCE.random(50_000)
    labels = (CHANCE.random(50_000) < chances).astype(np.intp)

    assert expected_error(chances, labels, np.ones(50_000)) < 0.02
    assert expected_error(chances, 1 - labels, np.ones(50_000)) > 0.3


def test_an_area_is_the_share_of_pairs_in_order():
    scores = np.array([0.1, 0.4, 0.35, 0.8])

    assert auc(scores, np.array([0, 0, 1, 1])) == pytest.approx(0.75)
    assert recall_at(scores, np.array([0, 0, 1, 1]), 0.01) == pytest.approx(0.5)


def test_intervals_hold_the_figure():
    scores = CHANCE.normal(size=300) + np.repeat([0, 1], 150)
    found = resampled("auc", auc, scores, np.repeat([0, 1], 150))

    assert found.low < found.value < found.high
    hits = share("hits", np.array([True] * 9 + [False]))
    assert hits.value == pytest.approx(0.9)
    assert hits.low < hits.value < hits.high
