"""Log probabilities spell the text that they are about: they go where a plugin rewrites it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pipeline.api import Event
from pipeline.dialects.openai_chat import OpenAIChat
from pipeline.dialects.openai_completions import OpenAICompletions

TOKEN = {"token": "secret", "bytes": [115], "logprob": -0.1, "top_logprobs": []}
CHAT = {"content": [TOKEN], "refusal": None}
PLAIN = {"tokens": ["secret"], "token_logprobs": [-0.1], "top_logprobs": [], "text_offset": [0]}
ANSWERS = {
    "chat": (OpenAIChat(), {"message": {"role": "assistant", "content": "secret"}}, CHAT),
    "chat chunk": (OpenAIChat(), {"delta": {"content": "secret"}}, CHAT),
    "completion": (OpenAICompletions(), {"text": "secret"}, PLAIN),
}


def rewritten(case, text):
    """Return the choices of an answer or chunk before and after its first text is replaced."""
    dialect, said, logprobs = ANSWERS[case]
    choices = [{"index": n, **said, "logprobs": logprobs, "finish_reason": None} for n in (0, 1)]
    document = {"id": "c", "choices": choices}
    if case == "chat chunk":
        event = Event(dialect, b"", data=document)
        first, *rest = event.segments
        made = event.replace(segments=[replace(first, text=text), *rest]).data
    else:
        first, *rest = dialect.answer_segments(document)
        made = dialect.with_answer_segments(document, [replace(first, text=text), *rest])
    return choices, made["choices"]


@pytest.mark.parametrize("case", ANSWERS)
def test_log_probabilities_go_with_the_text_that_they_spell(case):
    before, after = rewritten(case, "***")

    assert "secret" not in json.dumps(after[0])
    assert after[0]["logprobs"] is None
    assert list(after[0]) == list(before[0])
    assert after[1] == before[1]


@pytest.mark.parametrize("case", ANSWERS)
def test_log_probabilities_stay_with_a_text_that_stays(case):
    before, after = rewritten(case, "secret")

    assert after == before
