from __future__ import annotations

import random
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.files import data_folder, has_data
from models.tiny import table
from models.tiny.corpus import corpus
from models.tiny.distil import reduced, sif
from models.tiny.learn import Settings, alike_together, learn
from models.tiny.requests import made_up

SHIPPED = files("models").joinpath("tiny", "embeddings.npz")
needs_data = pytest.mark.skipif(not has_data(), reason="no training material here")


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 10))
def test_int8_rows_are_within_half_a_step(seed, size):
    rows = np.random.default_rng(seed).normal(scale=size, size=(4, 16)).astype(np.float32)
    quantised, scales = table.quantise(rows)
    steps = scales.astype(np.float32)[:, None]

    # Scales are float16: an eleven-bit mantissa moves the largest value by a step at most.
    assert (np.abs(quantised * steps - rows) <= steps * 0.6).all()


def test_silent_rows_stay_zero_when_saved(tmp_path):
    rows = np.array([[0, 0], [1, -2]], np.float32)
    table.save(tmp_path / "table.npz", rows)

    assert table.load(tmp_path / "table.npz") == pytest.approx(rows, abs=0.02)


def test_an_embedding_is_the_mean_of_its_tokens():
    rows = np.array([[0, 0], [1, 0], [0, 1]], np.float32)
    found = table.embed(rows, [np.array([1, 2]), np.array([], int), np.array([1, 1])])

    assert found.tolist() == [[0.5, 0.5], [0, 0], [1, 0]]


def test_common_tokens_weigh_less():
    weights = sif(np.array([1000, 10, 0]))

    assert weights[0] < weights[1] < weights[2] < 1


def test_the_first_components_hold_the_most_variance():
    vectors = np.random.default_rng(0).normal(size=(600, 300)).astype(np.float32)
    found = reduced(vectors)

    assert found.shape == (600, table.DIMENSIONS)
    spread = found.var(axis=0)
    assert (np.diff(spread) <= 1e-3).all()


def test_made_up_requests_are_of_the_words_given():
    text = made_up(["zebra"], random.Random(1))

    assert "zebra" in text
    assert text == made_up(["zebra"], random.Random(1))


def test_alike_texts_follow_each_other_and_none_is_lost():
    generator = np.random.default_rng(0)
    groups = np.repeat(np.eye(8, dtype=np.float32), 32, axis=0)
    targets = groups + generator.normal(scale=0.01, size=groups.shape).astype(np.float32)
    order = alike_together(targets, 16, generator)

    assert sorted(order) == list(range(len(targets)))
    alike = (np.diff(order // 32) == 0).mean()
    assert alike > 0.7


def test_learning_brings_the_student_nearer_to_the_teacher():
    pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    first = generator.normal(size=(50, 16)).astype(np.float32)
    first[0] = 0
    truth = generator.normal(size=(50, 24)).astype(np.float32)
    tokens = [generator.integers(50, size=6).astype(np.int32) for _ in range(256)]
    targets = table.normalised(table.embed(truth, tokens))
    settings = Settings(epochs=40, batch=64, leaf=16, rate=0.1, temperature=0.5)
    learned = learn(first, tokens, targets, settings)

    def error(rows):
        vectors = table.normalised(table.embed(rows, tokens))
        return np.square(vectors @ vectors.T - targets @ targets.T).mean()

    assert error(learned) < 0.8 * error(first)
    assert not learned[0].any()
    assert np.array_equal(learned, learn(first, tokens, targets, settings))


def test_the_shipped_table_is_small_and_its_special_tokens_are_silent():
    assert len(SHIPPED.read_bytes()) <= 8 * 2**20
    with SHIPPED.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        rows, scales = arrays["rows"], arrays["scales"]

    assert (rows.dtype, rows.shape) == (np.int8, (30522, table.DIMENSIONS))
    assert (scales.dtype, scales.shape) == (np.float16, (30522,))
    assert not rows[[0, 100, 101, 102, 103]].any()


@needs_data
def test_the_corpus_is_the_same_every_time_and_holds_no_text_of_the_cache_stream():
    from models.cache_stream.streams import read_clinc

    texts = corpus(data_folder(), ["word"], seed=0, generated=10)
    asked = {one.text for one in read_clinc(data_folder())}
    shared = asked.intersection(texts)

    # Some short questions stand in several public sets.
    assert len(shared) < 0.005 * len(asked)
    assert texts == corpus(data_folder(), ["word"], seed=0, generated=10)
