"""A stored answer served again: a fresh id and time, and all that the model produced as it was."""

from __future__ import annotations

import copy

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from pipeline.api import Answer, Usage
from pipeline.dialects.registry import builtin

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAME = st.from_regex(r"[a-z]{1,6}", fullmatch=True)
COUNT = st.integers(0, 10**6)
JSON_TEXT = st.sampled_from(["{}", '{"a":1}', '{"b":"c","d":[1,2]}'])
DIALECTS = builtin()


def chat(texts, calls, counts):
    message = {
        "role": "assistant",
        "content": texts[0],
        "reasoning_content": texts[1],
        "tool_calls": [
            {"id": f"call_{n}", "type": "function", "function": {"name": n, "arguments": a}}
            for n, a in calls
        ],
    }
    usage = {
        "prompt_tokens": counts[0],
        "completion_tokens": counts[1],
        "total_tokens": counts[0] + counts[1],
        "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0},
    }
    return {
        "id": "chatcmpl-old",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "system_fingerprint": "fp",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": usage,
        "x_new": {"a": [1]},
    }


def completion(texts, calls, counts):
    usage = {"prompt_tokens": counts[0], "completion_tokens": counts[1], "total_tokens": 9}
    return {
        "id": "cmpl-old",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "text": texts[0], "logprobs": None, "finish_reason": "stop"}],
        "usage": usage,
    }


def response(texts, calls, counts):
    part = {"type": "output_text", "text": texts[0], "annotations": [], "logprobs": []}
    said = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant"}
    thought = {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAA"}
    output = [
        {**thought, "summary": [{"type": "summary_text", "text": texts[1]}]},
        {**said, "content": [part]},
    ]
    for name, arguments in calls:
        call = {"type": "function_call", "id": f"fc_{name}", "call_id": f"call_{name}"}
        output.append({**call, "name": name, "arguments": arguments, "status": "completed"})
    document = DIALECTS.by_name("openai.responses").compose("", model="m", id="old", created_s=1)
    usage = {
        **document["usage"],
        "input_tokens": counts[0],
        "output_tokens": counts[1],
        "total_tokens": counts[0] + counts[1],
    }
    return {**document, "completed_at": 2, "output": output, "usage": usage}


def message(texts, calls, counts):
    content = [
        {"type": "thinking", "thinking": texts[1], "signature": "sig=="},
        {"type": "text", "text": texts[0]},
    ]
    for name, arguments in calls:
        value = {} if arguments == "{}" else {"a": 1}
        content.append({"type": "tool_use", "id": f"toolu_{name}", "name": name, "input": value})
    return {
        "id": "msg_old",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": content,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": counts[0],
            "cache_creation_input_tokens": counts[1],
            "cache_read_input_tokens": counts[2],
            "cache_creation": {
                "ephemeral_5m_input_tokens": counts[1],
                "ephemeral_1h_input_tokens": 0,
            },
            "output_tokens": counts[3],
            "service_tier": "standard",
        },
    }


KINDS = {
    "openai.chat": (chat, "chatcmpl-", ChatCompletion),
    "openai.completions": (completion, "cmpl-", Completion),
    "openai.responses": (response, "resp_", Response),
    "anthropic.messages": (message, "msg_", Message),
}
PARTS = st.tuples(
    st.tuples(TEXT, TEXT),
    st.lists(st.tuples(NAME, JSON_TEXT), max_size=3, unique_by=lambda call: call[0]),
    st.tuples(COUNT, COUNT, COUNT, COUNT),
)
every_text_dialect = pytest.mark.parametrize("name", KINDS)


def replayed(name, document, **options):
    return Answer(DIALECTS.by_name(name), document).replayed(
        **{"id": "0af7", "created_s": 1_800_000_000, **options}
    )


@every_text_dialect
@given(PARTS)
def test_a_replay_says_what_the_stored_answer_said_and_does_not_write_to_it(name, parts):
    dialect = DIALECTS.by_name(name)
    document = KINDS[name][0](*parts)
    before = copy.deepcopy(document)
    stored = Answer(dialect, document)

    fresh = replayed(name, document)

    assert document == before
    assert fresh.segments == stored.segments
    assert fresh.tool_calls == stored.tool_calls
    assert fresh.finish_reason == stored.finish_reason
    assert fresh.usage.output_tokens == stored.usage.output_tokens
    assert list(fresh.document)[: len(document)] == list(document)
    KINDS[name][2].model_validate(dict(fresh.document))


@every_text_dialect
@given(PARTS)
def test_a_replay_streamed_folds_into_the_same_answer(name, parts):
    dialect = DIALECTS.by_name(name)
    fresh = replayed(name, KINDS[name][0](*parts))

    events = dialect.unfold(dict(fresh.document))
    folded = Answer(dialect, dialect.fold(events))

    assert [event.closes for event in events].count(True) == 1
    assert [(s.kind, s.text) for s in folded.segments if s.text] == [
        (s.kind, s.text) for s in fresh.segments if s.text
    ]
    assert folded.tool_calls == fresh.tool_calls
    assert folded.usage == fresh.usage
    assert folded.document["id"] == fresh.document["id"]
    assert folded.finish_reason == fresh.finish_reason


@every_text_dialect
def test_a_replay_has_an_id_of_the_apis_own_form(name):
    make, prefix, _ = KINDS[name]
    document = make(("a", "b"), [], (1, 2, 3, 4))

    assert replayed(name, document).document["id"] == f"{prefix}0af7"
    assert replayed(name, document, id=f"{prefix}9").document["id"] == f"{prefix}9"


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("openai.chat", {"created": 1_800_000_000}),
        ("openai.completions", {"created": 1_800_000_000}),
        ("openai.responses", {"created_at": 1_800_000_000, "completed_at": 1_800_000_000}),
    ],
)
def test_a_replay_is_of_now(name, fields):
    fresh = replayed(name, KINDS[name][0](("a", "b"), [], (1, 2, 3, 4))).document

    assert {field: fresh[field] for field in fields} == fields


def test_the_items_of_a_response_keep_their_ids():
    document = response(("a", "b"), [("look", "{}")], (1, 2, 3, 4))

    assert replayed("openai.responses", document).document["output"] == document["output"]


@pytest.mark.parametrize("name", ["openai.chat", "openai.completions", "openai.responses"])
def test_the_whole_input_of_a_replay_counts_as_cached(name):
    fresh = replayed(name, KINDS[name][0](("a", "b"), [], (7, 2, 3, 4)))

    assert fresh.usage == Usage(7, 2, 7)


def test_what_else_a_usage_details_is_kept():
    fresh = replayed("openai.chat", chat(("a", "b"), [], (7, 2, 3, 4)))

    assert fresh.document["usage"]["prompt_tokens_details"] == {
        "cached_tokens": 7,
        "audio_tokens": 0,
    }


def test_all_input_of_a_message_was_read_from_a_cache():
    fresh = replayed("anthropic.messages", message(("a", "b"), [], (1, 20, 300, 4)))

    assert dict(fresh.document)["usage"] == {
        "input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 321,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 4,
        "service_tier": "standard",
    }


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "many"}, {"input_tokens": None}])
@every_text_dialect
def test_a_usage_that_counts_nothing_stays_as_it_is(name, usage):
    document = {**KINDS[name][0](("a", "b"), [], (1, 2, 3, 4)), "usage": usage}

    assert replayed(name, document).document["usage"] == usage


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("openai.embeddings", {"object": "list", "data": [], "usage": {"prompt_tokens": 3}}),
        ("cohere.rerank", {"results": [], "meta": {"tokens": {"input_tokens": 1}}}),
        ("anthropic.count_tokens", {"input_tokens": 3}),
        ("openai.input_tokens", {"object": "response.input_tokens", "input_tokens": 3}),
        ("vllm.tokenize", {"count": 2, "tokens": [1, 2]}),
    ],
)
def test_an_answer_in_numbers_is_replayed_as_it_is(name, document):
    assert dict(replayed(name, document).document) == document


@pytest.mark.parametrize("name", ["openai.embeddings", "cohere.rerank"])
def test_an_answer_in_numbers_that_has_an_id_gets_a_fresh_one(name):
    fresh = replayed(name, {"id": "embd-old", "created": 1, "data": [[0.5]]})

    assert dict(fresh.document) == {"id": "0af7", "created": 1_800_000_000, "data": [[0.5]]}


@pytest.mark.parametrize("name", DIALECTS.names)
def test_every_dialect_replays(name):
    assert isinstance(replayed(name, {}), Answer)
