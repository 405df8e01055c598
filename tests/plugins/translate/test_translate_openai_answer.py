"""Answers, streams and errors of OpenAI and its copies in canonical form."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from pipeline.api import Headers
from plugins.translate.canonical import CanonicalCall
from plugins.translate.formats import Fault
from plugins.translate.upstreams.openai import OpenAIUpstream
from plugins.translate.upstreams.openai_errors import response_fault
from plugins.translate.upstreams.presets import preset_quirks
from plugins.translate.upstreams.quirks import OPENAI
from tests.support import decoding
from tests.support.folding import comparable, fold
from tests.support.providers.openai import THOUGHT, chat_answer, frames

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL = CanonicalCall("chat", {}, "m", stream=True)
UPSTREAM = OpenAIUpstream()


def body(question):
    return {
        "model": "m",
        "messages": [{"role": "user", "content": question}],
        "tools": [TOOL],
        "stream_options": {"include_usage": True},
    }


def decoded(raw, cuts=(), upstream=UPSTREAM):
    return decoding.decoded(upstream, CALL, decoding.pieces(raw, cuts))


def sse(*documents):
    return b"".join(f"data: {json.dumps(one)}\n\n".encode() for one in documents)


def chunk(delta, reason=None, **fields):
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "c", "object": "chat.completion.chunk", "choices": [choice], **fields}


@pytest.mark.parametrize("thinking", ["reasoning_content", "reasoning", "thinking"])
@pytest.mark.parametrize(
    "question", ["hi", "use a tool", "think", "think, use a tool", "refuse", "search", "filter"]
)
def test_a_folded_stream_is_the_whole_answer(question, thinking):
    whole = UPSTREAM.answer(chat_answer(body(question), thinking), CALL)
    chunks = decoded(b"".join(frames(body(question), thinking)))

    ChatCompletion.model_validate(whole)
    for one in chunks:
        ChatCompletionChunk.model_validate(one)
    assert comparable(fold(chunks)) == comparable(whole)
    message = whole["choices"][0]["message"]
    if "think" in question:
        assert message["reasoning_content"] == THOUGHT
        assert message["thinking_blocks"] == [{"type": "thinking", "thinking": THOUGHT}]
        assert thinking == "reasoning_content" or thinking not in message


@given(cuts=st.lists(st.integers(0, 10**6), max_size=20))
def test_any_cut_of_the_bytes_gives_the_same_chunks(cuts):
    raw = b"".join(frames(body("think, use a tool")))

    assert decoded(raw, cuts) == decoded(raw)


def test_openrouters_reasoning_has_signatures_and_redacted_blocks():
    details = [
        {"type": "reasoning.text", "text": "a", "signature": "s", "index": 0},
        {"type": "reasoning.encrypted", "data": "x", "index": 1},
        {"type": "reasoning.summary", "summary": "b", "index": 2},
    ]
    message = {"role": "assistant", "content": "c", "reasoning": "ab", "reasoning_details": details}
    whole = UPSTREAM.answer({"choices": [{"index": 0, "message": message}]}, CALL)
    raw = sse(*[chunk({"reasoning_details": [one]}) for one in details], chunk({}, "stop"))
    blocks = [
        b for one in decoded(raw) for b in one["choices"][0]["delta"].get("thinking_blocks", ())
    ]

    assert whole["choices"][0]["message"]["thinking_blocks"] == [
        {"type": "thinking", "thinking": "a", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "thinking", "thinking": "b"},
    ]
    assert whole["choices"][0]["finish_reason"] == "stop"
    assert [one["index"] for one in blocks] == [0, 1, 2]


@pytest.mark.parametrize(
    ("usage", "cached"),
    [
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4}, 4),
        ({"prompt_tokens": 9, "cached_tokens": 3}, 3),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 2}}, 2),
        ({"prompt_tokens": 9, "prompt_tokens_details": None}, None),
    ],
)
def test_cached_tokens_are_found_wherever_a_server_puts_them(usage, cached):
    answer = UPSTREAM.answer({"choices": [], "usage": usage}, CALL)

    assert (answer["usage"].get("prompt_tokens_details") or {}).get("cached_tokens") == cached


def test_groqs_streams_have_their_usage_where_it_belongs():
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    chunks = decoded(sse(chunk({"content": "a"}), chunk({}, "stop", x_groq={"usage": usage})))

    assert chunks[-1]["usage"] == usage


@pytest.mark.parametrize(
    "cited",
    [
        {"citations": ["https://a.example"]},
        {"search_results": [{"title": "A", "url": "https://a.example"}]},
    ],
)
def test_sources_of_a_search_are_annotations_once(cited):
    chunks = decoded(
        sse(chunk({"content": "a"}, **cited), chunk({"content": "b"}, "stop", **cited))
    )
    message = {"role": "assistant", "content": "ab"}
    whole = UPSTREAM.answer({"choices": [{"message": message, "index": 0}], **cited}, CALL)
    found = whole["choices"][0]["message"]["annotations"]

    assert [one["url_citation"]["url"] for one in found] == ["https://a.example"]
    assert fold(chunks)["choices"][0]["message"]["annotations"] == found


@pytest.mark.parametrize(
    ("preset", "word", "reason"),
    [
        ("together", "eos", "stop"),
        ("zai", "sensitive", "content_filter"),
        ("deepseek", "insufficient_system_resource", "length"),
        ("vllm", "tool_use", "tool_calls"),
    ],
)
def test_a_servers_word_for_the_end_is_openais_with_its_own_beside(preset, word, reason):
    upstream = OpenAIUpstream(preset_quirks(preset))
    message = {"role": "assistant", "content": "a"}
    whole = upstream.answer({"choices": [{"message": message, "finish_reason": word}]}, CALL)
    chunks = decoded(sse(chunk({"content": "a"}), chunk({}, word)), upstream=upstream)

    for choice in (whole["choices"][0], chunks[-1]["choices"][0]):
        assert (choice["finish_reason"], choice["native_finish_reason"]) == (reason, word)


def test_vllms_stop_sequence_is_told_and_its_stop_token_is_not():
    for stop, told in (("END", "END"), (128009, None)):
        choice = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}
        answer = UPSTREAM.answer({"choices": [{**choice, "stop_reason": stop}]}, CALL)

        assert answer["choices"][0].get("stop_sequence") == told


def test_tool_calls_without_ids_numbers_or_text_are_made_whole():
    called = {"function": {"name": "f", "arguments": {"a": 1}}}
    message = {"content": None, "tool_calls": [called, {**called, "id": "x"}]}
    answer = UPSTREAM.answer({"choices": [{"message": message}]}, CALL)
    calls = answer["choices"][0]["message"]["tool_calls"]
    pieces = [
        {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"function": {"arguments": "{}"}}]},
        {"tool_calls": [{"id": "b", "function": {"name": "g", "arguments": "{}"}}]},
    ]
    folded = fold(decoded(sse(*map(chunk, pieces), chunk({}, "tool_calls"))))

    assert [call["id"] for call in calls] == ["call_0", "x"]
    assert calls[0]["function"]["arguments"] == '{"a": 1}'
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert [
        (call["id"], call["function"]["arguments"])
        for call in folded["choices"][0]["message"]["tool_calls"]
    ] == [("a", "{}"), ("b", "{}")]


def test_azures_first_chunk_without_choices_says_nothing():
    assert decoded(sse({"choices": [], "prompt_filter_results": []}, chunk({}, "stop")))[0][
        "choices"
    ]


@pytest.mark.parametrize(
    ("question", "status", "code"),
    [("broken stream", 503, "server_error"), ("cut", 502, "upstream_stream_cut")],
)
def test_a_stream_that_breaks_ends_in_a_fault(question, status, code):
    last = decoded(b"".join(frames(body(question))))[-1]

    assert (last.status, last.code) == (status, code)


def test_a_stream_without_an_end_mark_is_whole_once_it_has_said_why_it_ends():
    assert not isinstance(decoded(sse(chunk({"content": "a"}), chunk({}, "stop")))[-1], Fault)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "delta", "message", "content", "tool_calls", "function", "usage", "id"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_odd_documents_are_survived_or_refused_as_the_translation_expects(document):
    for read in (
        lambda: UPSTREAM.answer(document, CALL),
        lambda: UPSTREAM.decoder(CALL).event("", json.dumps(document)),
    ):
        try:
            read()
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            continue


@pytest.mark.parametrize("document", [{}, {"choices": None}, {"error": {"message": "x"}}])
def test_what_is_no_answer_is_refused(document):
    with pytest.raises(ValueError, match="choices"):
        UPSTREAM.answer(document, CALL)


ERRORS = [
    ({"error": {"message": "a", "type": "t", "code": "c", "param": "p"}}, "c", "a", "p"),
    ({"error": {"message": "a", "type": "t", "code": None}}, "t", "a", None),
    ({"error": {"message": "a", "code": 400}}, "invalid_request_error", "a", None),
    ({"object": "error", "message": "a", "type": "BadRequestError", "code": 400},
     "BadRequestError", "a", None),
    ({"error": "model 'x' not found"}, "invalid_request_error", "model 'x' not found", None),
    ({"detail": "a"}, "invalid_request_error", "a", None),
    ({"detail": [{"loc": ["body", "x"], "msg": "bad"}]}, "invalid_request_error", "body.x: bad",
     None),
    ([{"error": {"message": "a", "status": "S", "code": 400}}], "invalid_request_error", "a", None),
    ({"error": {"code": "content_filter", "message": "a", "innererror": {}}}, "content_filter",
     "a", None),
    ([], "invalid_request_error", "the provider answered 400", None),
]  # fmt: skip


@pytest.mark.parametrize(("document", "code", "message", "param"), ERRORS)
def test_errors_of_every_shape_are_read(document, code, message, param):
    fault = response_fault(400, Headers(), json.dumps(document).encode())

    assert (fault.status, fault.code, fault.message, fault.param) == (400, code, message, param)


@pytest.mark.parametrize(
    ("status", "raw", "code", "message"),
    [
        (502, b"<html>Bad gateway</html>", "upstream_error", "the provider answered 502"),
        (429, b"slow down", "rate_limit_exceeded", "slow down"),
        (401, b"", "invalid_api_key", "the provider answered 401"),
        (503, b"\xff\xfe", "overloaded", "\ufffd\ufffd"),
    ],
)
def test_errors_that_are_no_json_are_read(status, raw, code, message):
    fault = response_fault(status, Headers(), raw)

    assert (fault.status, fault.code, fault.message) == (status, code, message)


def test_when_to_try_again_is_read_in_milliseconds():
    fault = response_fault(429, Headers([("retry-after-ms", b"1500")]), b"{}")

    assert fault.retry_after_s == 1.5


@given(st.binary(max_size=50))
def test_any_error_body_is_read(raw):
    assert response_fault(500, Headers(), raw).status == 500


def test_openai_speaks_its_own_dialects():
    assert OPENAI.native == {
        "openai.chat",
        "openai.completions",
        "openai.embeddings",
        "openai.responses",
        "openai.input_tokens",
    }
