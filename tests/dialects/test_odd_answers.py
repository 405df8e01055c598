"""Answers and streams of a known shape with one value that is of no known shape."""

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.api import Answer, Event, Usage
from pipeline.dialects.anthropic_messages import AnthropicMessages
from pipeline.dialects.openai_chat import OpenAIChat
from pipeline.dialects.openai_completions import OpenAICompletions
from pipeline.dialects.openai_responses import OpenAIResponses

ODD = (None, True, -1, "odd", [], {}, ["odd"], [[]], [{}], {"odd": None})
LOGPROBS = {"content": [{"token": "Hi", "logprob": -0.1}]}
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "n", "arguments": "{}"}}
ANSWERS = {
    OpenAIChat: {
        "id": "1",
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hi",
                    "reasoning_content": "why",
                    "tool_calls": [CALL],
                    "function_call": {"name": "n", "arguments": "{}"},
                },
                "logprobs": LOGPROBS,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 1}},
    },
    OpenAICompletions: {
        "object": "text_completion",
        "choices": [{"index": 0, "text": "Hi", "logprobs": LOGPROBS, "finish_reason": "stop"}],
    },
    OpenAIResponses: {
        "id": "r",
        "object": "response",
        "status": "completed",
        "output": [
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "why"}]},
            {
                "type": "message",
                "id": "m",
                "role": "assistant",
                "content": [
                    {
                        "type": "output_text",
                        "text": "Hi",
                        "annotations": [{"type": "url_citation"}],
                        "logprobs": [{"token": "Hi"}],
                    },
                    {"type": "refusal", "refusal": "no"},
                ],
            },
            {"type": "function_call", "id": "f", "call_id": "c", "name": "n", "arguments": "{}"},
            {"type": "custom_tool_call", "id": "t", "call_id": "c", "name": "n", "input": "x"},
            {"type": "mcp_call", "id": "p", "name": "n", "arguments": "{}", "output": "o"},
        ],
        "usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 1}},
    },
    AnthropicMessages: {
        "type": "message",
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "why", "signature": "s"},
            {"type": "text", "text": "Hi", "citations": [{"type": "page_location"}]},
            {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}},
            {"type": "mcp_tool_result", "tool_use_id": "t", "content": [{"type": "text"}]},
        ],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_with_an_odd_value_anywhere_is_read_and_streamed(kind):
    dialect = kind()
    for document in oddities(ANSWERS[kind]):
        answer = Answer(dialect, document)
        events = dialect.unfold(document)

        assert answer.replace(segments=answer.segments) is answer
        assert None not in (answer.tool_calls, answer.finish_reason, answer.usage)
        assert [event.closes for event in events[:-1]] == [False] * (len(events) - 1)
        dialect.fold(events)


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_stream_with_an_odd_value_anywhere_is_read_and_folded(kind):
    dialect = kind()
    events = dialect.unfold(ANSWERS[kind])
    for place, event in enumerate(events):
        for data in oddities(event.data) if event.data is not None else ():
            odd = Event(dialect, b"", name=event.name, data=data)
            stream = [*events[:place], odd, *events[place + 1 :]]

            assert odd.replace(segments=odd.segments) is odd
            assert isinstance(odd.finish_reason, str)
            assert isinstance(odd.usage, Usage | None)
            assert isinstance(dialect.fold(stream), dict)


def test_a_responses_stream_with_an_odd_value_anywhere_is_restated():
    dialect = OpenAIResponses()
    events = dialect.unfold(ANSWERS[OpenAIResponses])
    for place, event in enumerate(events):
        for data in oddities(event.data):
            restate = dialect.restate()
            odd = Event(dialect, b"", name=event.name, data=data)
            for one in (*events[:place], odd, *events[place + 1 :]):
                restate.received(one)
                assert restate(one).name == one.name


@pytest.mark.parametrize("odd", [True, 1, "a", {"a": 1}])
def test_annotations_that_are_no_list_are_announced_in_no_event(odd):
    dialect = OpenAIResponses()
    document = dialect.compose("Hi", model="m", id="1", created_s=0)
    document["output"][0]["content"][0]["annotations"] = odd

    events = dialect.unfold(document)

    assert [e.name for e in events if "annotation" in e.name] == []
    assert "".join(e.text for e in events) == "Hi"
    assert dialect.fold(events) == document


@pytest.mark.parametrize("content", [["a"], [["a"]], [None], "a", {"0": "a"}, None])
def test_a_delta_for_a_part_that_is_no_object_is_left_out_of_the_answer(content):
    dialect = OpenAIResponses()
    item = {"type": "message", "content": content}
    added = Event(
        dialect, b"", name="response.output_item.added", data={"output_index": 0, "item": item}
    )
    delta = Event(
        dialect,
        b"",
        name="response.output_text.delta",
        data={"output_index": 0, "content_index": 0, "delta": "Hi"},
    )

    assert dialect.fold([added, delta])["output"] == [item]


@pytest.mark.parametrize("kind", [OpenAIResponses, AnthropicMessages])
@pytest.mark.parametrize("odd", [5, True, ["a"], {"a": 1}])
def test_a_text_that_is_no_string_is_said_by_no_delta(kind, odd):
    dialect = kind()
    document = dialect.compose("Hi", model="m", id="1", created_s=0)
    holder = document["output"][0] if kind is OpenAIResponses else document
    holder["content"][0]["text"] = odd

    events = dialect.unfold(document)

    assert [e.name for e in events if e.name.endswith("delta") and "message" not in e.name] == []
    assert dialect.fold(events) == document


def oddities(document: Any) -> Iterator[dict[str, Any]]:
    """Return the document once for every value in it and every odd one in its place."""
    for place in places(document):
        if place:
            yield from (with_value(document, place, odd) for odd in ODD)


def places(document: Any) -> Iterator[tuple[Any, ...]]:
    yield ()
    if isinstance(document, dict | list):
        steps = document.items() if isinstance(document, dict) else enumerate(document)
        for step, value in steps:
            yield from ((step, *place) for place in places(value))


def with_value(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    changed = document.copy()
    changed[place[0]] = with_value(document[place[0]], place[1:], value)
    return changed
