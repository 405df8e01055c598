"""OpenAI's chat completions on the client's side: older spellings in, chunks out."""

from __future__ import annotations

import json

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from pipeline.api import FrameDecoder
from plugins.translate.canonical import Loss
from plugins.translate.clients.chat import ChatClient

CLIENT = ChatClient()
HI = [{"role": "user", "content": "hi"}]
CALL = {"model": "m", "messages": HI}
HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
FUNCTION = {"name": "f", "parameters": {"type": "object"}}


def canonical(**document):
    loss = Loss()
    return CLIENT.canonical({**CALL, **document}, loss), list(loss.names)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"max_tokens": 5}, {"max_completion_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 6}, {"max_completion_tokens": 6}),
        ({"max_tokens": None}, {}),
        ({"stop": "END"}, {"stop": ["END"]}),
        ({"stop": ["A", "B"]}, {"stop": ["A", "B"]}),
        ({"reasoning_effort": "low"}, {"reasoning": {"effort": "low"}}),
        (
            {"reasoning": {"effort": "high", "summary": "auto"}},
            {"reasoning": {"effort": "high", "summary": "auto"}},
        ),
        ({"reasoning": {"max_tokens": 2000}}, {"reasoning": {"budget_tokens": 2000}}),
        ({"reasoning": {"enabled": False}}, {"reasoning": {"effort": "none"}}),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            {"reasoning": {"budget_tokens": 2000}},
        ),
        ({"thinking": {"type": "disabled"}}, {"reasoning": {"effort": "none"}}),
        ({"thinking": {"type": "adaptive"}}, {"reasoning": {"effort": "high"}}),
        (
            {"structured_outputs": {"json": {"type": "object"}, "backend": "x"}},
            {"guided_json": {"type": "object"}, "structured_outputs": {"backend": "x"}},
        ),
        ({"structured_outputs": {"choice": ["a"]}}, {"guided_choice": ["a"]}),
        (
            {
                "web_search_options": {
                    "search_context_size": "low",
                    "user_location": {"type": "approximate", "approximate": {"city": "Paris"}},
                }
            },
            {
                "tools": [
                    {
                        "type": "web_search",
                        "web_search": {
                            "search_context_size": "low",
                            "user_location": {"city": "Paris"},
                        },
                    }
                ]
            },
        ),
        ({"some_vendor_field": {"a": 1}}, {"some_vendor_field": {"a": 1}}),
    ],
)
def test_older_spellings_become_canonical(given, expected):
    assert canonical(**given) == ({**CALL, **expected}, [])


def test_hidden_reasoning_is_reported():
    assert canonical(reasoning={"exclude": True})[1] == ["reasoning.exclude"]


def test_the_clients_document_stays_as_it_is():
    document = {**CALL, "max_tokens": 5, "functions": [FUNCTION], "thinking": {"type": "disabled"}}
    before = json.dumps(document)

    CLIENT.canonical(document, Loss())

    assert json.dumps(document) == before


def test_cache_breakpoints_are_cache_markers():
    part = {"type": "text", "text": "long", "prompt_cache_breakpoint": {"mode": "explicit"}}
    lasting = {**part, "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}
    messages = [{"role": "system", "content": "x"}, {"role": "user", "content": [part, lasting]}]

    sent = canonical(messages=messages)[0]["messages"]

    assert sent[0] == messages[0]
    assert [one["cache_control"] for one in sent[1]["content"]] == [
        {"type": "ephemeral"},
        {"type": "ephemeral", "ttl": "1h"},
    ]
    assert "prompt_cache_breakpoint" not in sent[1]["content"][0]


# --- functions
@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ({"name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_functions_are_tools(choice, expected):
    call, _ = canonical(functions=[FUNCTION], function_call=choice)

    assert call["tools"] == [{"type": "function", "function": FUNCTION}]
    assert call["tool_choice"] == expected
    assert call["parallel_tool_calls"] is False
    assert not {"functions", "function_call"} & call.keys()


def test_function_calls_of_the_past_are_tool_calls():
    called = {"name": "f", "arguments": "{}"}
    messages = [
        *HI,
        {"role": "assistant", "content": None, "function_call": called},
        {"role": "function", "name": "f", "content": "1"},
        {"role": "user", "content": "again"},
        {"role": "assistant", "content": None, "function_call": called},
        {"role": "function", "name": "f", "content": "2"},
    ]

    sent = canonical(messages=messages)[0]["messages"]

    ids = [one["tool_calls"][0]["id"] for one in sent if one["role"] == "assistant"]
    assert [one["tool_call_id"] for one in sent if one["role"] == "tool"] == ids
    assert len(set(ids)) == 2
    assert sent[1]["tool_calls"][0]["function"] == called


def test_who_asks_with_functions_is_answered_with_a_function_call():
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    answer = {
        **HEAD,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
    }

    legacy = CLIENT.answer(answer, {**CALL, "functions": [FUNCTION]})
    today = CLIENT.answer(answer, {**CALL, "tools": [{"type": "function", "function": FUNCTION}]})

    ChatCompletion.model_validate(legacy, strict=True)
    assert legacy["choices"][0]["message"]["function_call"] == call["function"]
    assert "tool_calls" not in legacy["choices"][0]["message"]
    assert legacy["choices"][0]["finish_reason"] == "function_call"
    assert today == answer


# --- streams
def chunk(delta, **end):
    choice = {"index": 0, "delta": delta, "finish_reason": None, **end}
    return {**HEAD, "choices": [choice]}


def written(chunks, **document):
    encoder = CLIENT.encoder({**CALL, "stream": True, **document})
    raw = b"".join(encoder.chunk(one) for one in chunks) + encoder.end()
    frames = [frame.data for frame in FrameDecoder(2**20).feed(raw)]
    assert frames[-1] == "[DONE]"
    found = [json.loads(frame) for frame in frames[:-1]]
    for one in found:
        ChatCompletionChunk.model_validate(one, strict=True)
    return found


def test_chunks_go_as_they_are_with_what_openai_does_not_know():
    first = chunk({"role": "assistant", "content": "", "reasoning_content": "Hm."})

    assert written([first]) == [first]


@pytest.mark.parametrize("where", ["on the last chunk", "after it"])
def test_usage_has_a_chunk_of_its_own_for_who_asked(where):
    last = chunk({}, finish_reason="stop")
    after = {**HEAD, "choices": [], "usage": USAGE}
    chunks = [{**last, "usage": USAGE}] if where == "on the last chunk" else [last, after]

    shown = written(chunks, stream_options={"include_usage": True})
    hidden = written(chunks)

    assert shown == [{**last, "usage": None}, after]
    assert hidden == [last]


def test_a_chunk_whose_usage_is_null_is_a_chunk():
    assert written([{**chunk({"content": "x"}), "usage": None}]) == [chunk({"content": "x"})]


def test_function_calls_stream_as_such():
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": "{}"}}
    chunks = [
        chunk({"tool_calls": [call]}),
        chunk({"tool_calls": [more]}),
        chunk({}, finish_reason="tool_calls"),
    ]

    found = written(chunks, functions=[FUNCTION])

    assert [one["choices"][0]["delta"].get("function_call") for one in found] == [
        {"name": "f", "arguments": ""},
        {"arguments": "{}"},
        None,
    ]
    assert found[-1]["choices"][0]["finish_reason"] == "function_call"


def test_a_fault_is_an_error_and_the_end():
    document = {"error": {"message": "words", "type": "t", "param": "p", "code": "some_code"}}
    raw = CLIENT.encoder(CALL).fault(document, 429)

    error, done = [frame.data for frame in FrameDecoder(2**20).feed(raw)]
    assert json.loads(error) == document
    assert done == "[DONE]"
