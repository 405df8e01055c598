from __future__ import annotations

import numpy as np
import pytest

from pipeline.inference.contract import Head
from pipeline.inference.heads import Heads


def weights(name, *shapes, seed=0):
    chance = np.random.default_rng(seed)
    tensors = {}
    for number, (units, inputs) in enumerate(shapes):
        tensors[f"{name}.{number}.weight"] = chance.normal(size=(units, inputs)).astype(np.float32)
        tensors[f"{name}.{number}.bias"] = chance.normal(size=units).astype(np.float32)
    return tensors


FEATURES = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
EXTRA = np.random.default_rng(2).normal(size=(5, 2)).astype(np.float32)


def test_a_score_is_one_number_for_each_window():
    tensors = weights("guard", (1, 6))

    logits = Heads(tensors, [Head("guard", "score")]).logits("guard", FEATURES)

    np.testing.assert_allclose(
        FEATURES @ tensors["guard.0.weight"][0] + tensors["guard.0.bias"], logits, rtol=1e-5
    )


def test_layers_follow_each_other_with_relu_between():
    tensors = weights("topic", (4, 6), (3, 4))
    heads = Heads(tensors, [Head("topic", "labels", labels=("a", "b", "c"))])

    hidden = np.maximum(FEATURES @ tensors["topic.0.weight"].T + tensors["topic.0.bias"], 0)

    np.testing.assert_allclose(
        hidden @ tensors["topic.1.weight"].T + tensors["topic.1.bias"],
        heads.logits("topic", FEATURES),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_wider_head_reads_the_extra_numbers_behind_the_features():
    tensors = weights("hard", (1, 8))
    heads = Heads(tensors, [Head("hard", "score")])

    assert heads.inputs("hard") == 8
    np.testing.assert_allclose(
        heads.logits("hard", np.concatenate([FEATURES, EXTRA], axis=1)),
        heads.logits("hard", FEATURES, EXTRA),
    )


@pytest.mark.parametrize(
    "asked", [["guard", "topic", "hard", "deep"], ["topic"], ["deep", "guard"]]
)
def test_heads_together_say_what_each_says_alone(asked):
    shapes = {"guard": [(1, 6)], "topic": [(3, 6)], "hard": [(1, 8)], "deep": [(4, 6), (1, 4)]}
    tensors = {}
    for seed, (name, its) in enumerate(shapes.items()):
        tensors |= weights(name, *its, seed=seed)
    topic = Head("topic", "labels", labels=("a", "b", "c"))
    heads = Heads(tensors, [topic, *(Head(name, "score") for name in ("guard", "hard", "deep"))])

    together = heads.rows(asked, FEATURES, EXTRA)

    assert list(together) == asked
    for name, logits in together.items():
        np.testing.assert_allclose(logits, heads.logits(name, FEATURES, EXTRA), rtol=1e-5)
        np.testing.assert_array_equal(logits, heads.rows([name], FEATURES, EXTRA)[name])


def test_a_head_as_wide_as_the_features_does_not_read_the_extra_numbers():
    heads = Heads(weights("guard", (1, 6)), [Head("guard", "score")])

    np.testing.assert_array_equal(
        heads.logits("guard", FEATURES), heads.logits("guard", FEATURES, EXTRA)
    )


def test_features_of_another_width_are_refused():
    heads = Heads(weights("guard", (1, 7)), [Head("guard", "score")])

    with pytest.raises(ValueError, match="reads 7 numbers, not 6"):
        heads.logits("guard", FEATURES)


def test_embeddings_need_no_weights():
    assert Heads({}, [Head("embedding", "embedding")])


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        weights("guard", (2, 6)),
        weights("guard", (4, 6), (1, 3)),
        {"guard.0.weight": np.ones((1, 6), np.float32)},
        {**weights("guard", (1, 6)), "guard.0.bias": np.ones(2, np.float32)},
    ],
)
def test_weights_that_do_not_fit_are_refused_when_loaded(tensors):
    with pytest.raises(ValueError, match="guard"):
        Heads(tensors, [Head("guard", "score")])
