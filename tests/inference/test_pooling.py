import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference.contract import (
    Calibration,
    Head,
    InferenceError,
    Prepared,
    Reading,
    Window,
)
from pipeline.inference.pooling import merge, pool
from tests.support.letters import ALL, HEADS, Letters, same

EMBEDDING = Head("embedding", "embedding")


def text(*windows, tokens=10, unread=0):
    """A text of windows given as (view, weight)."""
    ids = np.array([1], np.int32)
    return Prepared(tuple(Window(ids, view, weight) for view, weight in windows), tokens, unread)


def rows(**by_head):
    return {name: np.array(values, np.float32) for name, values in by_head.items()}


def only(prepared, head, values):
    [reading] = pool([prepared], rows(**{head.name: values}), [head])
    return reading


def test_an_embedding_is_the_weighted_mean_of_the_text_itself_with_unit_length():
    prepared = text((0, 3), (0, 1), (1, 9))

    reading = only(prepared, EMBEDDING, [[4, 0], [0, 4], [100, 100]])

    assert np.allclose(reading.embedding, np.array([3, 1]) / np.sqrt(10))
    assert reading.embedding.dtype == np.float32


def test_an_embedding_of_one_window_is_its_row_with_unit_length():
    assert only(text((0, 7)), EMBEDDING, [[3, 4]]).embedding.tolist() == pytest.approx([0.6, 0.8])


def test_an_embedding_of_nothing_is_zero():
    assert only(text((0, 1)), EMBEDDING, [[0, 0]]).embedding.tolist() == [0, 0]


def test_a_score_is_the_probability_of_the_largest_logit_among_the_texts_windows():
    head = Head("risk", "score", pooling="max", calibration=Calibration(scale=2, bias=-1))

    reading = only(text((0, 1), (0, 1), (1, 1)), head, [0.5, 1.5, 9])

    assert reading.scores["risk"] == pytest.approx(1 / (1 + np.exp(-2)))


def test_a_head_with_views_looks_at_all_of_them():
    head = Head("risk", "score", pooling="max", views=True)

    assert only(text((0, 1), (1, 1)), head, [-1, 3]).scores["risk"] == pytest.approx(0.952574)


@pytest.mark.parametrize("views", [False, True])
def test_the_largest_of_a_texts_own_windows_is_held_to_more(views):
    how = Calibration(scale=2, bias=1, per_doubling=0.25)
    head = Head("risk", "score", pooling="max", views=views, calibration=how)

    reading = only(text((0, 1), (0, 1), (1, 1), (1, 1)), head, [3, 3, 3, 3])

    expected = 2 * (3 - 0.25) + 1
    assert reading.scores["risk"] == pytest.approx(1 / (1 + np.exp(-expected)))


def test_a_score_that_is_a_mean_is_one_of_the_text_itself():
    head = Head("complexity", "score", calibration=Calibration(per_doubling=5))

    reading = only(text((0, 3), (0, 1), (1, 1)), head, [1, 5, 100])

    assert reading.scores["complexity"] == pytest.approx(1 / (1 + np.exp(-2)))


def test_labels_are_the_softmax_of_the_mean_over_the_text_itself():
    head = Head("domain", "labels", labels=("a", "b"), calibration=Calibration(scale=0.5))

    reading = only(text((0, 1), (0, 1), (2, 1)), head, [[2, 0], [0, 4], [50, 0]])

    odds = np.exp([0.5 * 1, 0.5 * 2])
    assert reading.labels["domain"].tolist() == pytest.approx((odds / odds.sum()).tolist())


@pytest.mark.parametrize("logit", [-1e30, -800, 800, 1e30])
def test_extreme_logits_are_certain_and_no_overflow(logit):
    score = only(text((0, 1)), Head("risk", "score"), [logit]).scores["risk"]
    labels = only(text((0, 1)), Head("d", "labels", labels=("a", "b")), [[logit, 0]]).labels["d"]

    assert score == (logit > 0)
    assert labels.tolist() == [logit > 0, logit < 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_a_failure_and_no_score(bad):
    head = Head("risk", "score", pooling="max")

    with pytest.raises(InferenceError, match="'risk' is not a number") as caught:
        only(text((0, 1), (0, 1)), head, [0, bad] if bad != -np.inf else [bad, bad])

    assert caught.value.code == "model_failed"


def test_a_view_that_is_not_a_number_leaves_the_embedding_alone():
    reading = only(text((0, 1), (1, 1)), EMBEDDING, [[3, 4], [np.nan, 0]])

    assert reading.embedding.tolist() == pytest.approx([0.6, 0.8])


def test_a_reading_says_how_much_was_read():
    reading = only(text((0, 1), tokens=70, unread=30), EMBEDDING, [[1, 0]])

    assert (reading.tokens, reading.unread) == (70, 30)


def test_nobody_can_write_to_a_reading_and_it_keeps_no_other_texts_rows():
    head = Head("d", "labels", labels=("a", "b"))
    two = [text((0, 1)), text((0, 1))]

    found = pool(two, rows(embedding=[[1, 0], [0, 1]], d=[[1, 0], [0, 1]]), [EMBEDDING, head])

    for vector in (found[0].embedding, found[0].labels["d"]):
        assert vector.base is None
        with pytest.raises(ValueError, match="read-only"):
            vector[0] = 7


@given(st.lists(st.text(alphabet="abcdefxyz ", max_size=200), min_size=1, max_size=8))
def test_texts_pooled_together_read_as_each_alone(texts):
    model = Letters()
    prepared = model.prepare(texts, ALL)
    windows = [window for one in prepared for window in one.windows]

    together = pool(prepared, model.forward(windows, ALL), list(HEADS.values()))

    for one, reading in zip(texts, together, strict=True):
        assert same(reading, model.expected(one))


def test_merged_readings_say_all_that_either_says_and_the_second_prevails():
    vector = np.array([1, 0], np.float32)
    first = Reading(vector, {"a": 0.1, "b": 0.2}, tokens=5)
    second = Reading(None, {"b": 0.3}, {"d": vector}, tokens=5, unread=1)

    merged = merge(first, second)

    assert merged == Reading(vector, {"a": 0.1, "b": 0.3}, {"d": vector}, 5, 1)
