"""Bedrock's answers, streams and errors in canonical form, out of what the simulator gives."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from pipeline.api import Headers
from plugins.translate.aws_frames import AwsCut
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.formats import Fault
from plugins.translate.upstreams.bedrock_converse import BedrockUpstream
from plugins.translate.upstreams.bedrock_converse_request import BedrockOptions
from tests.support.folding import comparable, fold
from tests.support.providers import bedrock_answers
from tests.support.providers.aws_frames import event
from tests.support.providers.bedrock_rules import check

CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {}}}
QUESTIONS = [
    "hello there",
    "think",
    "redacted",
    "think redacted tool twice",
    "tool empty",
    "cite",
    "cached",
    "too long",
    "stop here",
    "guardrail",
    "filtered",
    "context",
    "malformed",
]
UPSTREAM = BedrockUpstream(BedrockOptions(), now_s=lambda: 1700000000.5, new_id=lambda: "one")


def call_for(question, **document):
    messages = [{"role": "user", "content": question}]
    asked = {"messages": messages, "tools": [WEATHER], "stop": ["END"], **document}
    return CanonicalCall("chat", {k: v for k, v in asked.items() if v is not None}, CLAUDE)


def params_of(call):
    outgoing = UPSTREAM.request(call, Loss())
    return check(outgoing.path, outgoing.document)


def whole(call):
    # As JSON, where blobs are base64.
    answer = json.loads(json.dumps(bedrock_answers.answer(params_of(call))))
    return UPSTREAM.answer(answer, call)


def streamed(call, sizes=(65536,)):
    data = b"".join(bedrock_answers.frames(params_of(call)))
    return decoded(call, data, sizes)


def decoded(call, data, sizes=(65536,)):
    cut, decoder, chunks, at, turn = AwsCut(2**20), UPSTREAM.decoder(call), [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        for name, text in cut.feed(data[at : at + size]):
            chunks += decoder.event(name, text)
        at, turn = at + size, turn + 1
    return [*chunks, *decoder.end()]


# --- whole and streamed alike
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_folded_stream_is_the_whole_answer(question):
    call = call_for(question)

    assert comparable(fold(streamed(call))) == comparable(whole(call))


@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_and_chunks_are_openais(question):
    call = call_for(question)

    ChatCompletion.model_validate(whole(call))
    for chunk in streamed(call):
        ChatCompletionChunk.model_validate(chunk)


@given(
    st.sampled_from([*QUESTIONS, "cut", "exception throttlingException"]),
    st.lists(st.integers(1, 90), min_size=1),
)
def test_any_cut_of_the_bytes_gives_the_same_chunks(question, sizes):
    call = call_for(question)

    assert streamed(call, sizes) == streamed(call)


# --- answers
def message_for(question, **document):
    return whole(call_for(question, **document))["choices"][0]["message"]


def test_an_answer():
    answer = whole(call_for("hello"))

    assert answer == {
        "id": "chatcmpl-one",
        "object": "chat.completion",
        "created": 1700000000,
        "model": CLAUDE,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "You said: hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        },
    }


def test_thoughts_come_with_their_signatures():
    message = message_for("think redacted")

    assert message["thinking_blocks"] == [
        {
            "type": "thinking",
            "thinking": "Let me see. It is so.",
            "signature": bedrock_answers.SIGNATURE,
        },
        {"type": "redacted_thinking", "data": bedrock_answers.REDACTED},
    ]
    assert message["reasoning_content"] == "Let me see. It is so."


def test_thoughts_go_back_as_they_came():
    message = message_for("think redacted")
    again = CanonicalCall(
        "chat",
        {"messages": [{"role": "user", "content": "a"}, message, {"role": "user", "content": "b"}]},
        CLAUDE,
    )
    loss = Loss()
    content = UPSTREAM.request(again, loss).document["messages"][1]["content"]

    told = json.loads(json.dumps(bedrock_answers.answer(params_of(call_for("think redacted")))))
    assert content[:2] == told["output"]["message"]["content"][:2]
    assert loss.names == ()


def test_calls_of_tools():
    answer = whole(call_for("tool twice"))
    calls = answer["choices"][0]["message"]["tool_calls"]

    assert [(one["id"], one["function"]["arguments"]) for one in calls] == [
        ("tooluse_1", '{"city":"Bern"}'),
        ("tooluse_2", '{"city":"Genève"}'),
    ]
    assert answer["choices"][0]["finish_reason"] == "tool_calls"


def test_a_changed_name_of_a_tool_comes_back_as_the_clients():
    tool = {"type": "function", "function": {"name": "mcp.weather"}}
    call = call_for("tool", tools=[tool])

    assert (
        whole(call)["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "mcp.weather"
    )
    assert comparable(fold(streamed(call))) == comparable(whole(call))


def test_the_forced_tool_for_json_is_the_answer(monkeypatch):
    from pipeline.api import ModelEntry
    from plugins.translate.upstreams import bedrock_converse_request

    old = ModelEntry(name="old", vendor="anthropic", match=(), json_schema=False)
    monkeypatch.setattr(bedrock_converse_request, "find_model", lambda _: old)
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    call = call_for("a place", tools=None, response_format=schema)
    answer, chunks = whole(call), fold(streamed(call))

    for one in (answer, chunks):
        assert json.loads(one["choices"][0]["message"]["content"]) == {"city": "Bern"}
        assert one["choices"][0]["finish_reason"] == "stop"
        assert "tool_calls" not in one["choices"][0]["message"]


def test_citations_of_the_web_are_annotations_and_others_are_kept():
    message = message_for("cite")

    assert message["content"] == "See: it rains"
    assert message["annotations"] == [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": 5,
                "end_index": 13,
                "title": "Weather",
                "url": "https://weather.example/",
            },
        }
    ]
    assert message["citations"] == [
        {
            "type": "page_location",
            "cited_text": "It rains.",
            "document_title": "Report",
            "document_index": 0,
            "start_page_number": 1,
            "end_page_number": 2,
        }
    ]


@pytest.mark.parametrize(
    ("question", "finish", "native"),
    [
        ("hello", "stop", None),
        ("too long", "length", None),
        ("context", "length", "model_context_window_exceeded"),
        ("guardrail", "content_filter", "guardrail_intervened"),
        ("filtered", "content_filter", "content_filtered"),
        ("malformed", "stop", "malformed_model_output"),
    ],
)
def test_how_answers_end(question, finish, native):
    choice = whole(call_for(question))["choices"][0]

    assert (choice["finish_reason"], choice.get("native_finish_reason")) == (finish, native)


def test_the_stop_sequence_that_was_met():
    assert whole(call_for("stop here"))["choices"][0]["stop_sequence"] == "END"


def test_cached_tokens_are_part_of_the_prompt():
    assert whole(call_for("cached"))["usage"] == {
        "prompt_tokens": 130,
        "completion_tokens": 5,
        "total_tokens": 135,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
    }


def test_the_tier_that_served():
    assert whole(call_for("hi", service_tier="flex"))["service_tier"] == "flex"


@pytest.mark.parametrize(
    "odd",
    [
        {"output": {"message": {"content": None}}, "stopReason": None},
        {"output": {"message": {"content": [None, {}, {"text": None}, {"future": 1}]}}},
        {"output": None, "stopReason": "a_new_reason", "usage": None},
        {"output": {"message": {"content": [{"toolUse": {}}]}}, "usage": {"inputTokens": None}},
        {"output": {"message": {"content": [{"reasoningContent": {}}]}}},
        {"output": {"message": {"content": [{"citationsContent": {"citations": [None, {}]}}]}}},
        {"output": {"message": {"content": [{"toolUse": {"type": "server_tool_use"}}]}}},
    ],
)
def test_odd_answers_are_survived(odd):
    ChatCompletion.model_validate(UPSTREAM.answer(odd, call_for("hi")))


def test_what_is_no_answer_is_a_value_error():
    with pytest.raises(ValueError, match="none of Converse"):
        UPSTREAM.answer({"message": "hm"}, call_for("hi"))


# --- streams
def test_usage_comes_last_without_choices():
    last = streamed(call_for("cached"))[-1]

    assert last["choices"] == []
    assert last["usage"]["prompt_tokens"] == 130


def test_an_exception_in_a_stream_ends_it():
    last = streamed(call_for("exception throttlingException"))[-1]

    assert isinstance(last, Fault)
    assert (last.status, last.code, last.message) == (429, "ThrottlingException", "as you asked")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("internalServerException", 500),
        ("modelStreamErrorException", 502),
        ("validationException", 400),
        ("serviceUnavailableException", 503),
        ("modelTimeoutException", 504),
        ("aNewException", 502),
        ("InternalFailure", 502),
    ],
)
def test_the_status_of_an_exception(name, status):
    (fault,) = UPSTREAM.decoder(call_for("hi")).event(name, '{"message":"no"}')

    assert (fault.status, fault.message) == (status, "no")


def test_what_the_model_said_is_part_of_an_exceptions_message():
    told = '{"message":"failed","originalStatusCode":500,"originalMessage":"out of memory"}'
    (fault,) = UPSTREAM.decoder(call_for("hi")).event("modelStreamErrorException", told)

    assert fault.message == "failed: out of memory"


def test_a_stream_that_is_cut_is_a_fault():
    last = streamed(call_for("cut"))[-1]

    assert (last.status, last.code) == (502, "upstream_stream_cut")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"delta":null}', '{"delta":{"future":1}}'])
@pytest.mark.parametrize(
    "name",
    ["contentBlockStart", "contentBlockDelta", "contentBlockStop", "metadata", "aNewEvent"],
)
def test_odd_events_are_survived(name, text):
    assert UPSTREAM.decoder(call_for("hi")).event(name, text) == ()


def test_an_event_that_is_no_json_ends_the_stream():
    decoder = UPSTREAM.decoder(call_for("hi"))
    (fault,) = decoder.event("contentBlockDelta", "{")

    assert (fault.code, decoder.end()) == ("bad_upstream_answer", ())


def test_the_input_of_bedrocks_own_tools_is_no_call():
    start = {"toolUse": {"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use"}}
    data = b"".join(
        [
            event("messageStart", {"role": "assistant"}),
            event("contentBlockStart", {"contentBlockIndex": 0, "start": start}),
            event(
                "contentBlockDelta",
                {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}},
            ),
            event("contentBlockStop", {"contentBlockIndex": 0}),
            event("messageStop", {"stopReason": "end_turn"}),
        ]
    )
    chunks = decoded(call_for("hi"), data)

    assert not any("tool_calls" in one["choices"][0]["delta"] for one in chunks)


# --- errors
@pytest.mark.parametrize(
    ("status", "headers", "body", "fault"),
    [
        (
            400,
            {"x-amzn-errortype": "ValidationException:http://internal.amazon.com/coral/"},
            b'{"message":"too long"}',
            Fault(400, "ValidationException", "too long"),
        ),
        (
            429,
            {},
            b'{"__type":"com.amazon.coral.service#ThrottlingException","Message":"slow"}',
            Fault(429, "ThrottlingException", "slow"),
        ),
        (403, {}, b'{"Message":"no"}', Fault(403, "AccessDeniedException", "no")),
        (
            424,
            {"x-amzn-errortype": "ModelErrorException"},
            b'{"message":"a","originalMessage":"b"}',
            Fault(502, "ModelErrorException", "a: b"),
        ),
        (408, {}, b"{}", Fault(504, "ModelTimeoutException", "the provider answered 504")),
        (
            503,
            {},
            b"<html>busy</html>",
            Fault(503, "ServiceUnavailableException", "the provider answered 503"),
        ),
        (500, {}, b"broken", Fault(500, "InternalServerException", "broken")),
        (502, {}, b"[1]", Fault(502, "ModelErrorException", "the provider answered 502")),
        (500, {}, b"\xff", Fault(500, "InternalServerException", "�")),
    ],
)
def test_errors(status, headers, body, fault):
    pairs = Headers([(name, value.encode()) for name, value in headers.items()])

    found = UPSTREAM.fault(status, pairs, body)

    assert (found, found.message) == (fault, fault.message)


def test_a_count():
    call = CanonicalCall("count_tokens", {}, CLAUDE)

    assert UPSTREAM.answer({"inputTokens": 42}, call) == {"input_tokens": 42}
