"""Cohere's answers, streams and errors in canonical form."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from pipeline.api import Headers
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.formats import Fault
from plugins.translate.upstreams.cohere import CohereOptions, CohereUpstream
from tests.support import decoding
from tests.support.folding import comparable, fold
from tests.support.providers.cohere import embeddings, frames, ranking
from tests.support.providers.cohere_answers import CITED, response
from tests.support.providers.cohere_rules import check_chat

NOW_S = 1_700_000_000
CALL = CanonicalCall("chat", {}, "command-test", stream=True)
UPSTREAM = CohereUpstream(CohereOptions(), now_s=lambda: NOW_S)
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("weather", "time")]
QUESTIONS = (
    "hello",
    "think",
    "use a tool",
    "think, use a tool",
    "use a tool, empty",
    "documents",
    "long",
    "stop",
)


def body(question):
    asked = {
        "model": "command-test",
        "messages": [{"role": "user", "content": question}],
        "stream": True,
        "tools": TOOLS,
    }
    if "think" in question:
        asked["thinking"] = {"type": "enabled"}
    if question == "documents":
        asked["documents"] = ["x"]
    return asked


def answer(question):
    return UPSTREAM.answer(response(body(question)), CALL)


def message(question):
    return answer(question)["choices"][0]["message"]


def decoded(pieces):
    return decoding.decoded(UPSTREAM, CALL, pieces)


# --- whole answers
@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_and_chunks_are_valid_by_openais_types(question):
    ChatCompletion.model_validate(answer(question))
    for chunk in decoded(frames(body(question))):
        ChatCompletionChunk.model_validate(chunk)


def test_a_text_is_a_completion():
    found = answer("hello")

    assert (found["id"], found["created"], found["model"]) == ("chat-1", NOW_S, "command-test")
    assert found["choices"][0]["message"]["content"].startswith("You said 'hello'")


def test_usage_counts_tokens_rather_than_what_is_billed():
    assert answer("hello")["usage"] == {
        "prompt_tokens": 71,
        "completion_tokens": 9,
        "total_tokens": 80,
        "prompt_tokens_details": {"cached_tokens": 16},
    }
    billed = {"usage": {"billed_units": {"input_tokens": 5.0, "output_tokens": 7.0}}}
    found = UPSTREAM.answer({"message": {"content": []}, **billed}, CALL)
    assert found["usage"]["total_tokens"] == 12


def test_a_plan_is_the_content_beside_calls():
    choice = answer("use a tool")["choices"][0]

    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "I will look."
    assert [call["id"] for call in choice["message"]["tool_calls"]] == ["weather_0", "time_1"]


def test_thoughts_are_thinking_blocks_without_a_signature():
    found = message("think")

    thought = "Let me think about it."
    block = {"type": "thinking", "thinking": thought, "signature": ""}
    assert found["thinking_blocks"] == [block]
    assert found["reasoning_content"] == thought


def test_citations_with_a_url_are_annotations_and_others_stay():
    found = message("documents")

    cited = found["annotations"][0]["url_citation"]
    assert CITED[cited["start_index"] : cited["end_index"]] == "Paris is big."
    assert (cited["title"], cited["url"]) == ("Paris", "https://example.com/paris")
    assert [one["text"] for one in found["citations"]] == ["The grass is green."]


def test_log_probabilities_are_openais():
    found = UPSTREAM.answer(response({**body("hello"), "logprobs": True}), CALL)

    one = {"token": "You", "logprob": -0.5, "bytes": [89, 111, 117], "top_logprobs": []}
    assert found["choices"][0]["logprobs"] == {"content": [one], "refusal": None}


@pytest.mark.parametrize(
    ("reason", "ending"),
    [
        ("COMPLETE", {"finish_reason": "stop"}),
        ("STOP_SEQUENCE", {"finish_reason": "stop"}),
        ("MAX_TOKENS", {"finish_reason": "length"}),
        ("TOOL_CALL", {"finish_reason": "tool_calls"}),
        ("ERROR", {"finish_reason": "stop", "native_finish_reason": "ERROR"}),
        (None, {"finish_reason": "stop"}),
    ],
)
def test_finish_reasons(reason, ending):
    document = {"message": {"content": [{"type": "text", "text": "x"}]}, "finish_reason": reason}

    choice = UPSTREAM.answer(document, CALL)["choices"][0]

    assert {name: choice[name] for name in choice if "finish" in name} == ending


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"content": None, "tool_calls": None, "citations": None},
        {"content": [None, {}, {"type": "odd"}]},
        {"content": "text"},
        {"tool_calls": [{}], "citations": [{"sources": [None], "content_index": 9}]},
    ],
)
def test_odd_answers_are_survived(message):
    ChatCompletion.model_validate(UPSTREAM.answer({"message": message}, CALL))


@pytest.mark.parametrize(
    "document",
    [{}, [], None, {"message": "x"}, {"message": {}, "finish_reason": "ERROR"}],
)
def test_what_is_no_answer_is_told(document):
    with pytest.raises(ValueError, match="the answer"):
        UPSTREAM.answer(document, CALL)


# --- streams
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_folded_stream_is_the_whole_answer(question):
    folded = comparable(fold(decoded(frames(body(question)))))

    assert folded == comparable(answer(question))


@given(st.sampled_from(QUESTIONS), st.lists(st.integers(0, 4000), max_size=6))
def test_any_cut_of_the_bytes_gives_the_same_chunks(question, cuts):
    raw = b"".join(frames(body(question)))
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]

    assert decoded(raw[a:b] for a, b in pairwise(places)) == decoded([raw])


def test_log_probabilities_come_with_their_text():
    piece = {"message": {"content": {"text": "You"}}}
    held = {"text": "You", "token_ids": [1], "logprobs": [-0.5]}
    event = {"type": "content-delta", "index": 0, "delta": piece, "logprobs": held}

    (chunk,) = UPSTREAM.decoder(CALL).event("", json.dumps(event))

    assert chunk["choices"][0]["logprobs"]["content"][0]["logprob"] == -0.5


def test_a_stream_that_is_cut_ends_in_a_fault():
    assert decoded(frames(body("cut")))[-1].code == "upstream_stream_cut"


def test_an_error_inside_a_stream_is_a_fault_and_the_last():
    assert decoded(frames(body("broken stream")))[-1] == Fault(502, "ERROR", "The model failed.")


@pytest.mark.parametrize(
    "data", ['{"message":"internal"}', '{"type":"stream-error","message":"internal"}']
)
def test_an_errors_body_in_a_stream_is_a_fault(data):
    decoder = UPSTREAM.decoder(CALL)

    assert list(decoder.event("", data)) == [Fault(502, "ERROR", "internal")]
    assert list(decoder.end()) == []


@pytest.mark.parametrize(
    "data", ["", "[]", "[DONE]", '{"type":"debug"}', '{"type":"content-delta","delta":null}']
)
def test_odd_events_are_passed_over(data):
    assert list(UPSTREAM.decoder(CALL).event("", data)) == []


def test_what_is_no_json_in_a_stream_is_a_fault():
    assert UPSTREAM.decoder(CALL).event("", "{")[0].code == "bad_upstream_answer"


def test_events_may_be_told_by_name_alone():
    (chunk,) = UPSTREAM.decoder(CALL).event("message-start", '{"id":"c"}')

    assert chunk["id"] == "c"


# --- errors
@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (429, b'{"message":"slow down"}', Fault(429, "rate_limit_exceeded", "slow down")),
        (498, b'{"message":"blocked"}', Fault(400, "content_filter", "blocked")),
        (401, b'{"id":"x","message":"bad"}', Fault(401, "invalid_api_key", "bad")),
        (502, b"<html>", Fault(502, "server_error", "the provider answered 502")),
        (503, b"busy", Fault(503, "service_unavailable", "busy")),
        (418, b"[]", Fault(418, "invalid_request", "the provider answered 418")),
    ],
)
def test_errors_of_every_shape_are_read(status, body, fault):
    assert UPSTREAM.fault(status, Headers(), body) == fault


# --- embeddings and rankings
@pytest.mark.parametrize(("kind", "vector"), [("float", [0.1, 0.2]), ("int8", [1, 2])])
def test_embeddings_are_openais(kind, vector):
    document = embeddings({"texts": ["a", "b"], "embedding_types": [kind]})

    found = UPSTREAM.answer(document, CanonicalCall("embedding", {}, "m"))

    assert [item["embedding"] for item in found["data"]] == [vector, vector]
    assert found["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


def test_a_ranking_stays_as_it_is():
    document = ranking({"documents": ["a", "b"]})

    assert UPSTREAM.answer(document, CanonicalCall("rerank", {}, "m")) == document


@pytest.mark.parametrize("operation", ["embedding", "rerank"])
def test_answers_without_their_point_are_told(operation):
    with pytest.raises(ValueError, match="the answer has no"):
        UPSTREAM.answer({"x": 1}, CanonicalCall(operation, {}, "m"))


# --- there and back
def test_a_turn_goes_back_as_it_came():
    said = message("think, use a tool")
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "x"} for call in said["tool_calls"]
    ]
    turn = {"messages": [{"role": "user", "content": "q"}, said, *results]}
    loss = Loss()

    sent = UPSTREAM.request(CanonicalCall("chat", turn, "m"), loss).document

    check_chat(sent)
    came = response(body("think, use a tool"))["message"]
    again = sent["messages"][1]
    assert {name: again[name] for name in ("tool_plan", "content")} == {
        name: came[name] for name in ("tool_plan", "content")
    }
    assert [call["id"] for call in again["tool_calls"]] == ["weather_0", "time_1"]
    assert loss.names == ()
