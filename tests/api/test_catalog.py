"""The catalog: every entry is sound, and any provider's name of a model finds it."""

from __future__ import annotations

import pytest

from pipeline.api.catalog import all_models, find_model


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("claude-3-5-sonnet@20240620", "claude-3-5-sonnet"),
        ("anthropic.claude-opus-4-20250514-v1:0", "claude-opus-4"),
        ("claude-opus-4-1-20250805", "claude-opus-4-1"),
        ("gpt-5-mini-2025-08-07", "gpt-5-mini"),
        ("openai/gpt-5", "gpt-5"),
        ("gpt-35-turbo", "gpt-3.5-turbo"),
        ("o3-mini", "o3-mini"),
        ("models/gemini-2.5-flash-lite", "gemini-2.5-flash-lite"),
        ("eu.amazon.nova-pro-v1:0", "nova-pro"),
        ("Command-R-08-2024", "command-r"),
    ],
)
def test_a_providers_name_of_a_model_finds_its_entry(asked, found):
    entry = find_model(asked)

    assert entry is not None
    assert entry.name == found


@pytest.mark.parametrize("asked", ["", "gpt", "no-such-model", "claude"])
def test_what_is_not_known_is_nothing(asked):
    assert find_model(asked) is None


@pytest.mark.parametrize("entry", all_models(), ids=lambda entry: entry.name)
def test_an_entry_finds_itself_and_has_sound_figures(entry):
    assert find_model(entry.name) is entry
    assert all(glob == glob.lower() for glob in entry.match)
    if entry.kind == "chat":
        assert 0 < entry.max_output_tokens <= entry.context_tokens
    else:
        assert entry.max_output_tokens == 0
    prices = (entry.price.input, entry.price.cached_input, entry.price.output)
    assert all(price is None or price >= 0 for price in prices)
    if entry.price.cached_input is not None:
        assert entry.price.cached_input <= entry.price.input


def test_no_two_entries_have_a_name_or_a_glob_in_common():
    names = [entry.name for entry in all_models()]
    globs = [glob for entry in all_models() for glob in entry.match]

    assert len(set(names)) == len(names)
    assert len(set(globs)) == len(globs)
