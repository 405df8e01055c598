from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from models.data.files import data_folder, has_data
from models.routing.evaluating import DataSet, folds, held_out, lines
from models.routing.protocol import (
    bootstrap,
    curve,
    expected_calibration_error,
    oracle,
)
from models.routing.questions import TASKS, Questions, llm_router, mmlu_pro
from models.routing.reading import MODELS
from models.routing.scorer import fit, platt, sigmoid
from pipeline.inference.manifest import HeadEntry
from pipeline.inference.text_features import NAMES

needs_data = pytest.mark.skipif(not has_data(), reason="no training material here")

WEAK = np.array([1.0, 0, 0, 1, 0, 0, 1, 0])
STRONG = np.array([1.0, 1, 1, 1, 0, 1, 1, 1])


def made(size=400, seed=0):
    """Return questions that are the harder the larger their first feature is."""
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(size, 5))
    embeddings = generator.normal(size=(size, 80))
    hard = sigmoid(3 * features[:, 0])
    weak = (generator.random(size) > hard).astype(float)
    strong = np.ones(size)
    questions = Questions(
        "made",
        tuple("x" * int(n) for n in generator.integers(1, 99, size)),
        np.array([f"category {at % 4}" for at in range(size)]),
        weak,
        strong,
        weak,
    )
    return DataSet(questions, embeddings, features)


def test_a_router_that_scores_all_alike_recovers_half():
    assert curve(np.zeros(8), WEAK, STRONG).apgr == pytest.approx(0.5)


def test_random_scores_recover_half_in_the_mean():
    generator = np.random.default_rng(0)
    areas = [curve(generator.random(8), WEAK, STRONG).apgr for _ in range(4000)]

    assert np.mean(areas) == pytest.approx(0.5, abs=0.01)


def test_the_oracle_recovers_all_with_as_many_calls_as_gain():
    best = curve(oracle(WEAK, STRONG), WEAK, STRONG)

    assert best.cpt(1.0) == 4 / 8
    # A straight rise to 1 over half of the calls, then level.
    assert best.apgr == pytest.approx(3 / 4)
    assert best.apgr + curve(-oracle(WEAK, STRONG), WEAK, STRONG).apgr == pytest.approx(1.0)


def test_where_the_strong_model_loses_calls_the_oracle_recovers_more_than_all():
    strong = STRONG.copy()
    strong[0] = 0

    assert curve(oracle(WEAK, strong), WEAK, strong).recovered.max() > 1


def test_calls_for_a_share_of_the_strong_quality_are_counted_on_the_curve():
    drawn = curve(oracle(WEAK, STRONG), WEAK, STRONG)

    assert drawn.share_for(1.0) == 4 / 8
    assert drawn.share_for(0.5) == 1 / 8
    assert drawn.cpt(0.5) == 2 / 8


def test_the_interval_holds_the_figure():
    data_set = made()
    scores = -data_set.features[:, 0]
    low, high = bootstrap(scores, data_set.questions.weak, data_set.questions.strong, seed=1)

    assert low < curve(scores, data_set.questions.weak, data_set.questions.strong).apgr < high


def test_calibrated_chances_have_no_error_and_bold_ones_have():
    generator = np.random.default_rng(0)
    chance = generator.random(20_000)
    outcome = (generator.random(20_000) < chance).astype(float)

    assert expected_calibration_error(chance, outcome) < 0.02
    assert expected_calibration_error((chance > 0.5).astype(float), outcome) > 0.2


def test_platt_finds_the_logistic_that_made_the_outcomes():
    scores = np.random.default_rng(0).normal(size=5000)

    assert platt(scores, sigmoid(2 * scores - 0.5)) == pytest.approx((2.0, -0.5), abs=1e-4)


def test_a_scorer_does_not_mind_the_level_of_a_data_set():
    one, other = made(seed=1), made(seed=2)
    plain = fit(
        [one.embeddings, other.embeddings],
        [one.features, other.features],
        [one.questions.suffices, other.questions.suffices],
    )
    lifted = fit(
        [one.embeddings, other.embeddings],
        [one.features, other.features],
        [one.questions.suffices, other.questions.suffices + 5],
    )

    assert plain.looks == pytest.approx(lifted.looks)
    assert plain.about == pytest.approx(lifted.about)


def test_every_question_is_held_out_once():
    questions = made().questions

    for split in ("random", "category"):
        assert (sum(out.astype(int) for out in folds(questions, split)) == 1).all()


@pytest.mark.parametrize("split", ["random", "category"])
def test_the_head_finds_what_makes_questions_hard(split):
    pytest.importorskip("sklearn")
    data_set = made()
    found = {line.router: line.curve.apgr for line in lines(data_set, [made(seed=5)], split)}

    assert found["random"] == pytest.approx(0.5)
    assert found["head"] > found["prompt length"] + 0.1
    assert found["head"] > 0.65
    assert found["oracle"] > found["head"]


def test_no_held_out_question_is_learned_from():
    data_set = made()
    scores = held_out(data_set, [], "category")
    out = data_set.questions.categories == "category 1"
    data_set.questions.suffices[out] = 1 - data_set.questions.suffices[out]

    assert held_out(data_set, [], "category")[out] == pytest.approx(scores[out])


@pytest.mark.parametrize(("tier", "dimensions"), [("tiny", 256), ("small", 384)])
def test_shipped_weights_read_the_embedding_and_the_numbers_beside_a_text(tier, dimensions):
    weights = load_file(MODELS / "routing" / f"{tier}.safetensors")
    entry = json.loads((MODELS / "routing" / f"{tier}.json").read_text("utf-8"))

    assert weights["complexity.0.weight"].shape == (1, dimensions + len(NAMES))
    assert HeadEntry.model_validate(entry).name == "complexity"


@needs_data
def test_the_data_sets_are_what_their_description_says():
    first, second = mmlu_pro(data_folder()), llm_router(data_folder())

    assert (len(first), len(set(first.categories))) == (5222, 9)
    assert (len(second), set(second.categories)) == (5608, set(TASKS))
    by_task = {name: second.texts[start] for name, start in TASKS.items()}
    assert by_task["logic_grid"].startswith("Q: There are")
    assert by_task["humaneval"].startswith("from typing")
    assert by_task["mbpp"].startswith("Write a")
    assert "A. " in first.texts[0]
