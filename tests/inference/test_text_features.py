from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference.text_features import (
    _SYMBOLS,
    _TERMS,
    END_CHARS,
    NAMES,
    text_features,
)

PIECES = [term for terms in _TERMS.values() for term in terms]
WRITING = st.lists(
    st.one_of(
        st.sampled_from([*PIECES, "? ", "! ", ". ", "__", " _ ", "\na.", "é", "A1"]), st.text()
    ),
    max_size=40,
).map("".join)


def value(text, name):
    return float(text_features(text)[NAMES.index(name)])


@given(st.text())
def test_every_text_has_finite_numbers_in_bounds(text):
    found = text_features(text)

    assert found.shape == (len(NAMES),)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert (found >= 0).all()


@given(WRITING)
def test_counts_and_shares_are_those_of_looking_for_each_alone(text):
    found = dict(zip(NAMES, text_features(text).tolist(), strict=True))
    seen = text if len(text) <= 2 * END_CHARS else f"{text[:END_CHARS]}\n{text[-END_CHARS:]}"
    lower = f" {seen.lower()} "
    raw = seen.encode("utf-8", "replace")
    size = len(raw) or 1

    for name, terms in _TERMS.items():
        assert found[name] == np.float32(np.log1p(sum(map(lower.count, terms))))
    for name, members in _SYMBOLS.items():
        share = 1 - len(raw.translate(None, members)) / size
        assert found[name] == np.float32(max(0.0, share) ** 0.5)
    assert found["blank"] == np.float32(np.log1p(lower.count("__") + lower.count(" _ ")))
    ends = sum(map(lower.count, (". ", "? ", "! ")))
    assert found["sentences"] == np.float32(np.log1p(ends))


def test_names_are_distinct():
    assert len(set(NAMES)) == len(NAMES)


def test_an_empty_text_and_lone_surrogates_have_numbers():
    assert np.isfinite(text_features("")).all()
    assert np.isfinite(text_features("\ud800 x")).all()


@pytest.mark.parametrize(
    ("name", "plain", "marked"),
    [
        ("digits", "what a day", "12 of 34"),
        ("maths", "what a day", "x + y = z"),
        ("code", "what a day", "{x[0];}"),
        ("latex", "what a day", "$\\frac{1}{2}$"),
        ("negation", "it is so", "it is not so"),
        ("condition", "tell me", "tell me if so"),
        ("quantity", "tell me", "tell me how many"),
        ("program", "say hello", "def hello():"),
        ("questions", "so it is.", "is it so?"),
        ("upper", "what a day", "WHAT A DAY"),
        ("blank", "the sky is blue", "the sky is ____"),
    ],
)
def test_a_mark_of_difficulty_shows_in_its_number(name, plain, marked):
    assert value(marked, name) > value(plain, name)


def test_choices_count_as_far_as_their_letters_follow():
    question = "Which one?\nA. red\nB. green\nC. blue\nE. pink"

    assert value(question, "options") == pytest.approx(np.log1p(3))
    assert value("Which one?\nZ. red", "options") == 0


def test_length_counts_the_whole_text_though_its_ends_are_looked_at():
    long = "word " * 100_000

    assert value(long, "chars") == pytest.approx(np.log1p(len(long)), rel=1e-6)
    assert value(long, "words") == pytest.approx(np.log1p(100_000), rel=1e-3)


def test_the_middle_of_a_long_text_does_not_change_its_marks():
    outside = "a" * END_CHARS

    assert value(f"{outside}{'9' * 50}{outside}", "digits") == 0


def test_a_huge_text_costs_little_more_than_a_long_one():
    def best_s(text):
        def once():
            start = time.process_time()
            for _ in range(20):
                text_features(text)
            return time.process_time() - start

        return min(once() for _ in range(5))

    # Counting lines and cutting ends is all that grows.
    assert best_s("a word " * 20_000) < 20 * best_s("a word " * 300)
