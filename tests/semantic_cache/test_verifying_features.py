from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.semantic_cache.verifying.features import NAMES, disagreements, pair_features
from plugins.semantic_cache.verifying.reading import read, stem
from plugins.semantic_cache.verifying.table import Lookup, WordTable

LOOKUP = Lookup(
    WordTable(
        {"cat": 0, "dog": 1, "feed": 2, "feed cat": 3},
        np.array([[1, 0], [0, 1], [2, 0], [0, 3], [0, 0]], np.float32),
        np.array([1, 2, 3, 0, 9], np.float32),
    )
)


def features(asked, stored, cosine=0.9):
    a, b = read(asked), read(stored)
    rows = pair_features(a, b, cosine, LOOKUP.look(a.tokens), LOOKUP.look(b.tokens))
    return dict(zip(NAMES, rows, strict=True))


@pytest.mark.parametrize(
    ("asked", "stored", "named"),
    [
        ("Set a timer for 10 minutes", "Set a timer for 15 minutes", "number"),
        ("two eggs a day", "3 eggs a day", "number"),
        ("how far is 5 miles", "how far is 5 kilometers", "unit"),
        ("what did I spend yesterday", "what did I spend today", "time"),
        ("Is Anna Petrova a baker?", "Is Marek Novak a baker?", "entity"),
        ("explain `json.loads`", "explain `json.dumps`", "code"),
        ("can I eat this", "can't I eat this", "negation"),
        ("turn on the light", "turn off the light", "comparison"),
        ("how to be more polite", "how to be less polite", "comparison"),
        ("do all birds fly", "do some birds fly", "quantifier"),
        ("who founded rome", "when was rome founded", "question word"),
        ("did she leave him", "did he leave her", "person"),
        ("Is Greta paying Farid?", "Is Farid paying Greta?", "order"),
        ("where is the station", "где вокзал", "language"),
    ],
)
def test_what_differs_is_named(asked, stored, named):
    assert named in disagreements(asked, stored)
    assert named in disagreements(stored, asked)


@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ("How do I open my account?", "how do i open my account"),
        ("what is the refund policy", "tell me the refund policy please"),
        ("I've 12 cats", "i have twelve cats"),
    ],
)
def test_wording_alone_is_no_disagreement(asked, stored):
    assert not set(disagreements(asked, stored)) - {"question word", "person"}


def test_a_passive_with_its_roles_turned_agrees_and_without_does_not():
    active = "Did Rosa repair the boat?"

    assert features(active, "Was the boat repaired by Rosa?")["roles"] == 0
    assert features(active, "Was Rosa repaired by the boat?")["roles"] == 1


def test_a_double_turn_keeps_the_meaning():
    assert features("how to be more polite", "how to be less rude")["polarity"] == 0
    assert features("how to be more polite", "how to be less polite")["polarity"] == 1
    assert features("he is calm", "he is not nervous")["polarity"] == 0


def test_equal_questions_differ_in_nothing():
    found = features("feed the cat", "feed the cat", 1.0)

    assert found["overlap"] == found["same words"] == 1
    assert found["only asked"] == found["roles"] == found["asked rest length"] == 0
    assert found["learned cosine"] == pytest.approx(1)


def test_a_pair_of_neighbours_may_have_a_vector_of_its_own():
    assert LOOKUP.look(("feed", "cat")).terms == ["feed", "cat", "feed cat"]
    assert LOOKUP.look(("cat", "feed")).terms == ["cat", "feed"]


@pytest.mark.parametrize("word", ["increases", "increased", "increasing", "increase"])
def test_forms_of_a_word_share_a_stem(word):
    assert stem(word) == "increas"


@given(st.text(max_size=300), st.text(max_size=300), st.floats(-1, 1))
def test_any_two_texts_have_finite_features(asked, stored, cosine):
    found = features(asked, stored, cosine)

    assert np.isfinite(list(found.values())).all()
    assert isinstance(disagreements(asked, stored), tuple)


def test_a_very_long_question_costs_no_more_than_its_beginning_and_end():
    assert len(read("word " * 50_000).tokens) == 256
