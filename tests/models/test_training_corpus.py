from __future__ import annotations

import pytest

from models.data.corpus import corpus
from models.data.domains import LABELS, said, topics
from models.data.example import key
from models.data.files import has_data

needs_data = pytest.mark.skipif(not has_data(), reason="needs the training material")


@pytest.fixture(scope="module")
def parts():
    return corpus()


@needs_data
def test_no_text_is_in_two_parts(parts):
    keys = {part: {key(one.text) for one in rows} for part, rows in parts.items()}

    assert not keys["train"] & keys["test"]
    assert not keys["train"] & keys["calibration"]
    assert not keys["calibration"] & keys["test"]


@needs_data
def test_sources_of_the_test_are_held_back_from_training(parts):
    # Split by text, and templates whose parts share none; see the corpus.
    shared = {"awesome_prompts", "promptscreen_written", "twins"}
    sources = {part: {one.source for one in rows} for part, rows in parts.items()}

    assert sources["train"] & sources["test"] <= shared
    assert not {"pif", "neuralchemy", "spikee", "bipia_email"} & sources["train"]


@needs_data
def test_both_kinds_of_attack_and_harmless_texts_are_in_every_part(parts):
    for rows in parts.values():
        assert any(one.jailbreak for one in rows)
        assert any(one.injection for one in rows)
        assert any(one.trigger and one.benign for one in rows)


@needs_data
def test_a_wish_for_something_harmful_is_no_attack(parts):
    wishes = [one for rows in parts.values() for one in rows if "wishes" in one.source]

    assert len(wishes) > 100
    assert all(one.benign for one in wishes)


@needs_data
def test_disguises_come_to_harmless_texts_as_well(parts):
    disguised = [one for one in parts["train"] if one.evasion]

    assert any(one.attack for one in disguised)
    assert any(one.benign for one in disguised)


@needs_data
def test_topics_have_every_label_in_every_part():
    for rows in topics().values():
        assert {one.label for one in rows} == set(LABELS)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Write a poem about autumn", "writing"),
        ("Fix this Python traceback", "code"),
        ("What are good ingredients?", "food"),
        ("Write a story about a recipe", None),
        ("Hello", None),
    ],
)
def test_a_text_names_its_class_if_it_names_one_only(text, label):
    assert said(text) == label
