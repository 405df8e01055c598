"""Anthropic's answers, streams and errors in canonical form."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from pipeline.api import Headers
from plugins.translate.canonical import CanonicalCall
from plugins.translate.formats import Fault
from plugins.translate.upstreams.anthropic import AnthropicOptions, AnthropicUpstream
from tests.support import decoding
from tests.support.folding import comparable, fold
from tests.support.providers.anthropic import frames
from tests.support.providers.anthropic_answers import events, message

NOW_S = 1_700_000_000
CALL = CanonicalCall("chat", {}, "sim-test", stream=True)
UPSTREAM = AnthropicUpstream(AnthropicOptions(), now_s=lambda: NOW_S)
TOOLS = [{"name": "weather", "input_schema": {"type": "object"}}, {"name": "b", "input_schema": {}}]
QUESTIONS = (
    "hello",
    "use a tool",
    "use a tool, empty",
    "think, redacted",
    "search",
    "refuse",
    "pause",
    "long",
    "stop",
)


def body(question):
    return {
        "model": "sim-test",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": question}],
        "tools": TOOLS,
        "stop_sequences": ["END"],
        "thinking": {"type": "adaptive"} if "think" in question else {"type": "disabled"},
    }


def answer(question):
    return UPSTREAM.answer(message(body(question)), CALL)


def streamed(document):
    decoder = UPSTREAM.decoder(CALL)
    found = [
        one for event in events(document) for one in decoder.event(event["type"], json.dumps(event))
    ]
    return [*found, *decoder.end()]


def decoded(pieces):
    return decoding.decoded(UPSTREAM, CALL, pieces)


# --- whole answers
def test_a_text_is_a_completion():
    found = answer("hello")

    ChatCompletion.model_validate(found, strict=True)
    assert (found["id"], found["created"], found["model"]) == ("msg_01Sim", NOW_S, "sim-test")
    assert found["choices"][0]["finish_reason"] == "stop"
    assert found["choices"][0]["message"]["content"].startswith("You said 'hello'")


def test_cached_tokens_count_as_prompt_tokens():
    found = answer("hello")

    assert found["usage"] == {
        "prompt_tokens": 35,
        "completion_tokens": 30,
        "total_tokens": 65,
        "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 5},
        "completion_tokens_details": {"reasoning_tokens": 12},
    }
    assert found["service_tier"] == "priority"


def test_tool_uses_are_tool_calls_with_arguments_as_text():
    choice = answer("use a tool")["choices"][0]

    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "I will look."
    assert choice["message"]["tool_calls"][1] == {
        "id": "toolu_1",
        "type": "function",
        "function": {"name": "b", "arguments": '{"city":"Paris","at":1}'},
    }


def test_an_answer_of_calls_alone_has_no_content():
    document = {"type": "message", "content": [{"type": "tool_use", "id": "a", "name": "f"}]}

    found = UPSTREAM.answer(document, CALL)["choices"][0]["message"]

    assert found["content"] is None
    assert found["tool_calls"][0]["function"]["arguments"] == "{}"


def test_thoughts_keep_signature_order_and_what_is_redacted():
    found = answer("think, redacted")["choices"][0]["message"]

    assert found["thinking_blocks"] == [
        {"type": "thinking", "thinking": "Let me think about it.", "signature": "sig-1"},
        {"type": "redacted_thinking", "data": "c2VjcmV0"},
    ]
    assert found["reasoning_content"] == "Let me think about it."


def test_citations_with_a_url_are_annotations_of_their_block():
    found = answer("search")["choices"][0]["message"]

    assert found["content"] == "I search. Paris is big. Grass is green."
    cited = found["annotations"][0]["url_citation"]
    assert found["content"][cited["start_index"] : cited["end_index"]] == "Paris is big."
    assert (cited["title"], cited["url"]) == ("Paris", "https://example.com/paris")
    assert found["citations"][0]["type"] == "char_location"


@pytest.mark.parametrize(
    ("question", "ending"),
    [
        ("long", {"finish_reason": "length"}),
        ("stop", {"finish_reason": "stop", "stop_sequence": "END"}),
        ("pause", {"finish_reason": "stop", "native_finish_reason": "pause_turn"}),
        ("refuse", {"finish_reason": "content_filter", "native_finish_reason": "refusal"}),
    ],
)
def test_stop_reasons_become_finish_reasons(question, ending):
    choice = answer(question)["choices"][0]

    assert choice | ending == choice


def test_a_refusal_says_why():
    assert answer("refuse")["choices"][0]["message"]["refusal"] == "That is against the policy."


@pytest.mark.parametrize(
    "document",
    [
        {"type": "message", "content": None},
        {"type": "message", "content": [], "stop_reason": "new_reason", "usage": None},
        {"content": [{"type": "hologram"}, None, {"type": "text", "text": None}], "usage": {}},
        {"content": [{"type": "text", "text": "x", "citations": [None, {}]}], "usage": []},
        {"content": [], "usage": {"input_tokens": None, "output_tokens": "many"}},
    ],
)
def test_odd_answers_are_still_completions(document):
    ChatCompletion.model_validate(UPSTREAM.answer(document, CALL), strict=True)


@pytest.mark.parametrize("document", [{}, {"type": "error", "error": {}}, {"content": "text"}])
def test_what_is_no_message_is_no_answer(document):
    with pytest.raises(ValueError, match="no message"):
        UPSTREAM.answer(document, CALL)


def test_a_count_is_a_count():
    call = CanonicalCall("count_tokens", {}, "sim-test")

    assert UPSTREAM.answer({"input_tokens": 7}, call) == {"input_tokens": 7}


# --- streams
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_stream_folds_to_the_whole_answer(question):
    document = message(body(question))

    chunks = streamed(document)

    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    assert comparable(fold(chunks)) == comparable(UPSTREAM.answer(document, CALL))


@pytest.mark.parametrize("question", ["use a tool", "think, redacted"])
@given(data=st.data())
def test_a_stream_says_the_same_however_it_is_cut(question, data):
    whole = b"".join(frames(body(question)))
    places = data.draw(st.lists(st.integers(0, len(whole)), max_size=8).map(sorted))
    cuts = [0, *places, len(whole)]

    pieces = [whole[start:end] for start, end in pairwise(cuts)]

    assert decoded(pieces) == decoded([whole])


def test_what_a_block_holds_from_the_start_is_not_lost():
    cited = {"type": "web_search_result_location", "url": "https://x", "title": "T"}
    document = {"type": "message", "stop_reason": "tool_use"}
    started = [
        {"type": "text", "text": "Hi", "citations": [cited]},
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
    ]
    decoder = UPSTREAM.decoder(CALL)
    found = [*decoder.event("message_start", '{"type": "message_start"}')]
    for block in started:
        for event in (
            {"type": "content_block_start", "content_block": block},
            {"type": "content_block_stop"},
        ):
            found += decoder.event(event["type"], json.dumps(event))
    end = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}}
    found += decoder.event("message_delta", json.dumps(end))

    whole = UPSTREAM.answer({**document, "content": started}, CALL)

    assert comparable(fold(found))["choices"] == comparable(whole)["choices"]


def test_a_call_of_a_tool_streams_its_arguments():
    pieces = [
        call
        for chunk in streamed(message(body("use a tool")))
        for call in chunk["choices"][0]["delta"].get("tool_calls", ())
    ]

    assert (pieces[0]["id"], pieces[0]["function"]["name"]) == ("toolu_0", "weather")
    assert all("id" not in piece for piece in pieces[1:3])
    assert {piece["index"] for piece in pieces} == {0, 1}


def test_pings_and_what_is_new_say_nothing():
    decoder = UPSTREAM.decoder(CALL)

    for event in (
        {"type": "ping"},
        {"type": "weather_report"},
        {"type": "content_block_start", "content_block": {"type": "hologram"}},
        {"type": "content_block_delta", "delta": {"type": "hologram_delta"}},
        {"type": "content_block_delta"},
        {"type": "content_block_stop"},
        {"type": "message_delta", "delta": None, "usage": None},
    ):
        assert list(decoder.event(event["type"], json.dumps(event))) == []
    assert list(decoder.event("", "")) == list(decoder.event("x", "[]")) == []


def test_a_stream_without_usage_has_none():
    decoder = UPSTREAM.decoder(CALL)
    event = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}

    (chunk,) = decoder.event("message_delta", json.dumps(event))

    assert "usage" not in chunk
    assert list(decoder.end()) == []


def test_an_error_inside_the_stream_is_a_fault():
    found = decoded([b"".join(frames(body("broken stream")))])

    assert [one for one in found if isinstance(one, Fault)] == [
        Fault(529, "overloaded_error", "Overloaded")
    ]


def test_a_stream_that_ends_early_is_a_fault():
    found = decoded([b"".join(frames(body("cut")))])

    assert isinstance(found[-1], Fault)
    assert found[-1].code == "upstream_stream_cut"


def test_events_that_are_no_json_are_a_fault():
    decoder = UPSTREAM.decoder(CALL)

    (fault,) = decoder.event("message_start", "{")

    assert (fault.status, fault.code) == (502, "bad_upstream_answer")
    assert list(decoder.end()) == []


# --- errors
AWS_TYPE = Headers([("x-amzn-errortype", b"ThrottlingException:http://internal")])


@pytest.mark.parametrize(
    ("status", "headers", "raw", "code", "text"),
    [
        (
            529,
            Headers(),
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
            "overloaded_error",
            "Overloaded",
        ),
        (
            429,
            Headers(),
            b'[{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED"}}]',
            "RESOURCE_EXHAUSTED",
            "Quota",
        ),
        (429, AWS_TYPE, b'{"message":"Too many"}', "ThrottlingException", "Too many"),
        (
            400,
            Headers(),
            b'{"__type":"com.amazon#ValidationException","Message":"Bad"}',
            "ValidationException",
            "Bad",
        ),
        (502, Headers(), b"<html>secret</html>", "api_error", "the provider answered 502"),
        (500, Headers(), b"upstream died", "api_error", "upstream died"),
        (401, Headers(), b"", "authentication_error", "the provider answered 401"),
        (404, Headers(), b"null", "not_found_error", "the provider answered 404"),
        (400, Headers(), b'{"error":"Bad"}', "invalid_request_error", "Bad"),
    ],
)
def test_errors_of_every_host_are_read(status, headers, raw, code, text):
    fault = UPSTREAM.fault(status, headers, raw)

    assert (fault.status, fault.code, fault.message) == (status, code, text)


def test_a_model_that_failed_is_a_bad_gateway():
    assert UPSTREAM.fault(424, Headers(), b"{}").status == 502


@pytest.mark.parametrize(
    ("details", "retry_after_s"),
    [
        ([{"@type": "x"}, {"@type": "google.rpc.RetryInfo", "retryDelay": "1.5s"}], 1.5),
        ([{"retryDelay": "soon"}], None),
        ("none", None),
    ],
)
def test_googles_advice_when_to_try_again_is_read(details, retry_after_s):
    raw = json.dumps({"error": {"code": 429, "message": "Quota", "details": details}}).encode()

    assert UPSTREAM.fault(429, Headers(), raw).retry_after_s == retry_after_s
