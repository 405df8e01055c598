"""Mistral: requests that its strict simulator takes, and its answers in canonical form."""

from __future__ import annotations

import json

import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from pipeline.api import Headers, InvalidCall
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.clients.chat import ChatClient
from plugins.translate.clients.messages import MessagesClient
from plugins.translate.formats import Fault
from plugins.translate.translation import SseCut
from plugins.translate.upstreams.mistral import MistralOptions, MistralUpstream
from plugins.translate.upstreams.mistral_request import tool_id
from tests.support import decoding
from tests.support.folding import comparable, fold
from tests.support.providers import mistral as simulated
from tests.support.providers.openai import ANSWER, THOUGHT

MISTRAL = MistralUpstream(MistralOptions())
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}}
PDF = {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}


def call(document, operation="chat", stream=False):
    return CanonicalCall(operation, document, "mistral-x", stream)


def body_of(document, stream=False):
    loss = Loss()
    canonical = ChatClient().canonical(document, loss)
    body = MISTRAL.request(call(canonical, stream=stream), loss).document
    simulated.check_chat(body)
    return body, loss.names


def asked(text, **fields):
    return {"model": "m", "messages": [{"role": "user", "content": text}], **fields}


def decoded(raw, cuts=()):
    return decoding.decoded(MISTRAL, call({}, stream=True), decoding.pieces(raw, cuts))


FIELDS = [
    ({"seed": 7}, {"random_seed": 7}),
    ({"max_completion_tokens": 9}, {"max_tokens": 9}),
    ({"stop": "x"}, {"stop": ["x"]}),
    ({"tools": [TOOL], "tool_choice": "required"}, {"tool_choice": "any"}),
    ({"tools": [TOOL], "tool_choice": "auto"}, {"tool_choice": "auto"}),
    ({"reasoning_effort": "high"}, {"reasoning_effort": "high"}),
    ({"service_tier": "default"}, {"service_tier": "standard_only"}),
    ({"safe_prompt": True}, {"safe_prompt": True}),
    ({"n": 2, "top_k": 5, "logprobs": True}, {"n": 2, "top_k": 5, "logprobs": True}),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}},
    ),
    (
        {"prediction": {"type": "content", "content": [{"type": "text", "text": "x"}]}},
        {"prediction": {"type": "content", "content": "x"}},
    ),
]


@pytest.mark.parametrize(("given_fields", "sent"), FIELDS)
def test_fields_are_sent_under_mistrals_names(given_fields, sent):
    body, lost = body_of(asked("hi", **given_fields))

    assert sent.items() <= body.items()
    assert lost == ()


@pytest.mark.parametrize("field", ["user", "logit_bias", "safety_identifier", "anything_new"])
def test_what_mistral_would_refuse_is_left_out_and_reported(field):
    body, lost = body_of(asked("hi", **{field: {"a": 1}}))

    assert field not in body
    assert lost == (field,)


def test_what_says_nothing_is_left_out_in_silence():
    body, lost = body_of(asked("hi", store=False, logit_bias={}))

    assert body.keys() == {"model", "messages"}
    assert lost == ()


def test_a_tool_of_openais_own_is_reported():
    body, lost = body_of(asked("hi", tools=[TOOL], web_search_options={}))

    assert len(body["tools"]) == 1
    assert lost == ("tools.web_search",)


def test_a_function_without_parameters_gets_some():
    body, _ = body_of(asked("hi", tools=[{"type": "function", "function": {"name": "now"}}]))

    assert body["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}


def test_a_conversation_with_tools_images_and_thinking_keeps_mistrals_order():
    calls = [{"id": "toolu_01", "type": "function", "function": {"name": "weather"}}]
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "s"}]
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "hi"}, PNG]},
        {"role": "assistant", "content": None, "tool_calls": calls, "thinking_blocks": blocks},
        {
            "role": "tool",
            "tool_call_id": "toolu_01",
            "content": [{"type": "text", "text": "no"}, PNG],
            "is_error": True,
        },
        {"role": "user", "content": [{"type": "file", "file": PDF}]},
    ]
    body, lost = body_of({"model": "m", "messages": messages})
    system, user, assistant, tool, filler, last = body["messages"]

    assert system == {"role": "system", "content": "Be brief."}
    assert user["content"][1] == PNG
    assert assistant["content"][0]["thinking"] == [{"type": "text", "text": "hm"}]
    assert assistant["tool_calls"][0]["id"] == tool["tool_call_id"] == tool_id("toolu_01")
    assert tool["content"] == [{"type": "text", "text": "Error: no"}, PNG]
    assert filler["role"] == "assistant"
    assert last["content"] == [
        {"type": "document_url", "document_url": PDF["file_data"], "document_name": "a.pdf"}
    ]
    assert lost == ()


def test_audio_urls_of_documents_and_uploaded_files_have_mistrals_shapes():
    parts = [
        {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
        {"type": "file", "file": {"file_url": "https://a.example/a.pdf"}},
        {"type": "file", "file": {"file_id": "f-1"}},
    ]
    body, _ = body_of({"model": "m", "messages": [{"role": "user", "content": parts}]})

    assert body["messages"][0]["content"] == [
        {"type": "input_audio", "input_audio": "aGk="},
        {
            "type": "document_url",
            "document_url": "https://a.example/a.pdf",
            "document_name": "file.pdf",
        },
        {"type": "file", "file_id": "f-1"},
    ]


def test_an_answer_that_is_begun_is_a_prefix():
    begun = {"role": "assistant", "content": "It is"}
    body, _ = body_of({"model": "m", "messages": [{"role": "user", "content": "hi"}, begun]})

    assert body["messages"][-1] == {"role": "assistant", "content": "It is", "prefix": True}


@given(st.text())
def test_tool_ids_are_valid_the_same_for_the_same_and_mistrals_own_stay(given_id):
    made = tool_id(given_id)

    assert tool_id(given_id) == made == tool_id(made)
    assert len(made) == 9
    assert made.isascii()
    assert made.isalnum()


@pytest.mark.parametrize("question", ["hi", "think", "use a tool", "long"])
def test_a_folded_stream_is_the_whole_answer_and_both_are_openais(question):
    body, _ = body_of(asked(question, tools=[TOOL], stream=True), stream=True)
    whole = MISTRAL.answer(simulated.chat_answer(body), call({}))
    chunks = decoded(b"".join(simulated.frames(body)))

    ChatCompletion.model_validate(whole)
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk)
    assert comparable(fold(chunks)) == comparable(whole)


@given(cuts=st.lists(st.integers(0, 10**6), max_size=20))
def test_any_cut_of_the_bytes_gives_the_same_chunks(cuts):
    raw = b"".join(simulated.frames(asked("think")))

    assert decoded(raw, cuts) == decoded(raw)


def test_thinking_is_text_and_a_block():
    message = MISTRAL.answer(simulated.chat_answer(asked("think")), call({}))["choices"][0][
        "message"
    ]

    assert message["content"] == ANSWER
    assert message["reasoning_content"] == THOUGHT
    assert message["thinking_blocks"] == [{"type": "thinking", "thinking": THOUGHT}]


def test_a_full_context_is_length_and_mistrals_word_beside_it():
    choice = MISTRAL.answer(simulated.chat_answer(asked("long")), call({}))["choices"][0]

    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("length", "model_length")


@pytest.mark.parametrize(
    ("question", "status", "code"),
    [
        ("broken stream", 502, "service_unavailable"),
        ("cut", 502, "upstream_stream_cut"),
        ("fail", 502, "upstream_error"),
    ],
)
def test_a_stream_that_fails_ends_in_a_fault(question, status, code):
    chunks = decoded(b"".join(simulated.frames(asked(question))))

    assert isinstance(chunks[-1], Fault)
    assert (chunks[-1].status, chunks[-1].code) == (status, code)


def test_a_model_that_failed_is_no_answer():
    with pytest.raises(ValueError, match="failed"):
        MISTRAL.answer(simulated.chat_answer(asked("fail")), call({}))


def test_filling_in_takes_the_suffix_and_answers_as_a_legacy_completion():
    loss = Loss()
    document = {
        "model": "codestral",
        "prompt": ["def f("],
        "suffix": "return a",
        "seed": 3,
        "max_tokens": 9,
        "stop": ["\n"],
        "logprobs": 2,
        "n": 1,
    }
    outgoing = MISTRAL.request(call(document, "completion"), loss)

    assert outgoing.path == "/fim/completions"
    assert outgoing.document["random_seed"] == 3
    assert outgoing.document["prompt"] == "def f("
    assert loss.names == ("logprobs",)
    answer = MISTRAL.answer(simulated.chat_answer(asked("hi")), call(document, "completion"))
    Completion.model_validate(answer)
    assert answer["choices"][0]["text"] == ANSWER


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2], [[1], [2]]])
def test_prompts_that_mistral_cannot_take_are_refused_by_name(prompt):
    with pytest.raises(InvalidCall) as caught:
        MISTRAL.request(call({"prompt": prompt}, "completion"), Loss())

    assert (caught.value.code, caught.value.param) == ("unsupported_by_backend", "prompt")


def test_embeddings_of_tokens_are_refused_and_dimensions_renamed():
    loss = Loss()
    document = {"model": "m", "input": ["a"], "dimensions": 8, "encoding_format": "base64"}
    body = MISTRAL.request(call({**document, "user": "u"}, "embedding"), loss).document

    assert body == {"model": "mistral-x", "input": ["a"], "output_dimension": 8}
    assert loss.names == ("user",)
    with pytest.raises(InvalidCall):
        MISTRAL.request(call({"input": [1, 2]}, "embedding"), Loss())


def test_the_backend_may_always_ask_for_the_safety_prompt():
    upstream = MistralUpstream(MistralOptions(safe_prompt=True))

    assert upstream.request(call(asked("hi")), Loss()).document["safe_prompt"] is True


@pytest.mark.parametrize(
    ("question", "status", "code", "message"),
    [
        ("error 429", 429, "as_asked", "as you asked"),
        ("html", 502, "upstream_error", "the provider answered 502"),
    ],
)
async def test_errors_say_what_mistral_said(question, status, code, message):
    application, _ = simulated.app()
    async with TestClient(TestServer(application)) as client:
        response = await client.post("/v1/chat/completions", json=asked(question))
        fault = MISTRAL.fault(response.status, Headers(), await response.read())

    assert (fault.status, fault.code, fault.message) == (status, code, message)


async def test_what_mistral_refuses_names_the_field():
    application, _ = simulated.app(key="k")
    headers = {"authorization": "Bearer k"}
    async with TestClient(TestServer(application), headers=headers) as client:
        response = await client.post("/v1/chat/completions", json=asked("hi", foo=1))
        fault = MISTRAL.fault(response.status, Headers(), await response.read())
        unknown = await client.post(
            "/v1/chat/completions", json=asked("hi"), headers={"authorization": "x"}
        )
        unauthorized = MISTRAL.fault(unknown.status, Headers(), await unknown.read())

    assert (fault.status, fault.code) == (422, "invalid_request_error")
    assert "body.foo" in fault.message
    assert (unauthorized.status, unauthorized.message) == (401, "Unauthorized")


async def test_every_kind_of_call_is_served_and_streamed_by_the_strict_simulator():
    application, seen = simulated.app()
    anthropic = {
        "model": "m",
        "max_tokens": 9,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "use a tool"}],
        "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "any"},
    }
    loss = Loss()
    canonical = MessagesClient().canonical(anthropic, loss)
    chats = [MISTRAL.request(call(canonical, stream=stream), loss) for stream in (False, True)]
    fim = MISTRAL.request(call({"prompt": "a", "stream": True}, "completion"), loss)
    vectors = MISTRAL.request(call({"input": "a"}, "embedding"), loss)
    async with TestClient(TestServer(application)) as client:
        for outgoing in (*chats, fim, vectors):
            response = await client.post(f"/v1{outgoing.path}", json=outgoing.document)
            assert response.status == 200, await response.text()
            await response.read()

    assert [one.path for one in seen][-2:] == ["/v1/fim/completions", "/v1/embeddings"]
    assert loss.names == ()


def test_a_stream_of_fill_in_chunks_is_a_legacy_stream():
    decoder = MISTRAL.decoder(call({}, "completion", stream=True))
    cut = SseCut()
    raw = b"".join(simulated.frames({"model": "m", "prompt": "a"}))
    chunks = [one for name, data in cut.feed(raw) for one in decoder.event(name, data)]

    for chunk in chunks:
        # OpenAI's type has no null there, though its streams do.
        choices = [
            {**one, "finish_reason": one["finish_reason"] or "stop"} for one in chunk["choices"]
        ]
        Completion.model_validate({**chunk, "choices": choices})
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == ANSWER
    assert json.loads(json.dumps(chunks[-1]))["usage"]["total_tokens"] == 16
