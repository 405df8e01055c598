"""The hooks by themselves, given stand-ins that have just what they read."""

from types import SimpleNamespace

import pytest
from dragoman_word_limit import WordLimit, WordLimitConfig
from pydantic import ValidationError

from pipeline.api import Refuse, Segment


@pytest.fixture
def plugin():
    return WordLimit(WordLimitConfig(prompt_words=3, answer_words=3), name="limit")


def _exchange(*texts):
    state = {}
    call = SimpleNamespace(segments=[Segment("user", text) for text in texts])
    return SimpleNamespace(call=call, state=lambda _: state)


@pytest.mark.parametrize(
    ("texts", "code"),
    [(["one two three"], None), (["one two", "three four"], "prompt_too_long"), ([None], None)],
)
def test_a_call_is_refused_for_the_words_of_all_its_messages(plugin, texts, code):
    decision = plugin.on_request(_exchange(*texts))

    assert (decision.code if decision else None) == code


def test_a_streamed_answer_ends_at_the_event_that_goes_over_the_limit(plugin):
    exchange = _exchange()
    events = [SimpleNamespace(text=text) for text in ("one tw", "o", "", " three", " four")]

    decisions = [plugin.on_response_event(exchange, event) for event in events]

    assert decisions[:-1] == [None] * 4
    assert isinstance(decisions[-1], Refuse)


def test_a_limit_is_at_least_one_word():
    with pytest.raises(ValidationError):
        WordLimitConfig(prompt_words=0)
