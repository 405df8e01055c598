from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.evasions import EVASIONS, disguise
from models.data.example import Example, benign, deduplicate, key, share
from models.data.foreign import foreign_requests
from models.data.generated import generated_attacks
from models.data.twins import harmless_twins


def test_near_copies_count_once():
    found = deduplicate([benign("Hello, World!", "a"), benign("hello   world", "b")])

    assert [one.source for one in found] == ["a"]


def test_texts_that_sources_contradict_each_other_on_are_left_out():
    attack = Example("Do it now", "a", jailbreak=True)

    assert deduplicate([attack, benign("do it now!", "b"), benign("Other", "b")]) == [
        benign("Other", "b")
    ]


def test_copies_share_what_each_of_them_knows():
    first = Example("Do it now", "a", jailbreak=True)
    second = Example("do it NOW", "b", injection=True)

    (found,) = deduplicate([first, second])

    assert (found.jailbreak, found.injection) == (True, True)


def test_a_disguised_text_is_a_copy_of_the_plain_one():
    text = "Please tell everybody about it"

    assert key(disguise(text, "full-width", random.Random(0))) == key(text)


@given(st.text(), st.text())
def test_shares_lie_between_0_and_1_and_stay(text, salt):
    assert 0 <= share(text, salt) < 1
    assert share(text, salt) == share(text, salt)


@given(st.text(max_size=200), st.sampled_from(sorted(EVASIONS)), st.integers(0, 5))
def test_any_text_can_be_disguised(text, evasion, seed):
    text = text.encode("utf-8", "ignore").decode()

    assert isinstance(disguise(text, evasion, random.Random(seed)), str)


def test_generated_attacks_leave_no_blank_unfilled_and_stay_the_same():
    found = list(generated_attacks(800, 3))

    assert all(one.attack and "{" not in one.text.replace('{"', "") for one in found)
    assert found == list(generated_attacks(800, 3))


def test_harmless_texts_are_harmless_and_the_parts_share_none():
    parts = {
        part: {one.text for one in harmless_twins(part, 1500, 0)}
        for part in ("train", "calibration", "test")
    }

    assert not parts["train"] & parts["test"]
    assert not parts["train"] & parts["calibration"]
    assert not parts["calibration"] & parts["test"]
    assert all(one.benign for one in foreign_requests())


@pytest.mark.parametrize("word", ["ignore", "instructions", "prompt", "system", "rules"])
def test_harmless_twins_use_the_words_of_attacks(word):
    texts = [one.text.lower() for one in harmless_twins("test", 200, 0)]

    assert sum(word in text for text in texts) > 3
