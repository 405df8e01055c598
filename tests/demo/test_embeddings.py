"""The demo's embeddings: unit vectors in which likeness of words is likeness of direction."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.demo.embeddings import embed, embeddings
from pipeline.errors import InvalidCall


def _cosine(one, other):
    return sum(a * b for a, b in zip(embed(one), embed(other), strict=True))


@given(st.text(st.characters()), st.integers(1, 64))
def test_every_text_has_a_unit_vector(text, dimensions):
    vector = embed(text, dimensions)

    assert len(vector) == dimensions
    assert math.isclose(math.hypot(*vector), 1.0, rel_tol=1e-9)
    assert vector == embed(text, dimensions)


def test_texts_that_share_words_are_nearer():
    near = _cosine("the weather in Paris today", "weather in Paris")
    far = _cosine("the weather in Paris today", "sort a linked list")

    assert near > 0.6
    assert abs(far) < 0.2


def test_tokens_are_one_text_and_lists_of_them_several():
    one = embeddings({"input": [1, 2, 3]})
    two = embeddings({"input": [[1, 2, 3], [4]]})

    assert len(one["data"]) == 1
    assert two["data"][0]["embedding"] == one["data"][0]["embedding"]
    assert [item["index"] for item in two["data"]] == [0, 1]


@pytest.mark.parametrize(
    ("field", "value"), [("dimensions", 0), ("dimensions", "8"), ("encoding_format", "hex")]
)
def test_what_cannot_be_served_is_refused_by_name(field, value):
    with pytest.raises(InvalidCall) as caught:
        embeddings({"input": "x", field: value})

    assert caught.value.param == field
