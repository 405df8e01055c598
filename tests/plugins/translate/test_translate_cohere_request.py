"""Canonical calls as Cohere requests, each held against Cohere's own types and rules."""

from __future__ import annotations

import base64

import pytest

from pipeline.api import InvalidCall, ModelEntry
from pipeline.api.catalog import Reasoning
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.upstreams import cohere_request
from plugins.translate.upstreams.cohere import CohereOptions, CohereUpstream
from tests.support.canonical_calls import HI, PNG, called, results
from tests.support.providers.cohere_rules import check_chat, check_embed, check_rerank

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather.", "parameters": SCHEMA},
}
TIME = {"type": "function", "function": {"name": "time"}}
CALLED = called("I will look.", "weather", "time")
RESULTS = results("no clock", [{"type": "text", "text": "sun"}])


def entry(**given):
    return ModelEntry(name="command-test", vendor="cohere", match=(), **given)


THINKS = entry(max_output_tokens=32000, reasoning=Reasoning(budget=True))
PLAIN = entry(max_output_tokens=4000)


@pytest.fixture
def request_of(monkeypatch):
    """Translate a document for a model; what comes out must be valid."""

    def translate(document, *, model=None, stream=False, safety_mode=""):
        monkeypatch.setattr(cohere_request, "find_model", lambda _: model)
        loss = Loss()
        call = CanonicalCall("chat", {"messages": HI, **document}, "command-test", stream)
        upstream = CohereUpstream(CohereOptions(safety_mode=safety_mode))
        outgoing = upstream.request(call, loss)
        check_chat(outgoing.document)
        assert outgoing.path == "/v2/chat"
        return outgoing.document, list(loss.names)

    return translate


# --- messages
@pytest.mark.parametrize("stream", [True, False])
def test_a_call_is_a_chat(request_of, stream):
    body, lost = request_of({"model": "x", "stream_options": {}}, stream=stream)

    assert body == {"model": "command-test", "messages": HI, "stream": stream}
    assert lost == []


def test_instructions_come_first_and_once(request_of):
    system = {"role": "system", "content": "Be brief."}
    developer = {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]}

    body, lost = request_of({"messages": [system, *HI, developer]})

    first = {"role": "system", "content": "Be brief.\n\nBe kind."}
    assert body["messages"] == [first, *HI]
    assert lost == []


def test_instructions_alone_are_the_question(request_of):
    body, lost = request_of({"messages": [{"role": "system", "content": "hi"}]})

    assert body["messages"] == HI
    assert lost == ["messages.role"]


def test_images_are_cohere_items(request_of):
    url = f"data:image/png;base64,{PNG}"
    image = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
    content = [{"type": "text", "text": "What?"}, image]

    body, lost = request_of({"messages": [{"role": "user", "content": content}]})

    assert body["messages"][0]["content"] == content
    assert lost == []


def test_texts_as_files_are_documents_beside_those_of_the_call(request_of):
    data = "data:text/plain;base64," + base64.b64encode("Grün".encode()).decode()
    file = {"file_data": data, "filename": "a.txt", "context": "c", "citations": True}
    content = [{"type": "text", "text": "Colour?"}, {"type": "file", "file": file}]
    own = {"data": {"text": "x"}, "id": "1"}

    body, lost = request_of(
        {"messages": [{"role": "user", "content": content}], "documents": [own]}
    )

    read = {"data": {"title": "a.txt", "context": "c", "text": "Grün"}}
    assert body["documents"] == [own, read]
    assert body["messages"] == [{"role": "user", "content": "Colour?"}]
    assert lost == []


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_audio", "input_audio": {}}, "messages.content.input_audio"),
        ({"type": "file", "file": {"file_id": "f"}}, "messages.content.file"),
        (
            {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PNG}"}},
            "messages.content.file",
        ),
        (
            {"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}},
            "messages.content.file.file_data",
        ),
        ({"type": "image_url", "image_url": {}}, "messages.content.image_url.url"),
        ({"type": "hologram"}, "messages.content.type"),
    ],
)
def test_content_that_cannot_be_carried_is_refused(request_of, part, param):
    with pytest.raises(InvalidCall) as error:
        request_of({"messages": [{"role": "user", "content": [part]}]})

    assert error.value.param == param


# --- tools
def test_tools_keep_their_shape(request_of):
    body, lost = request_of({"tools": [WEATHER, TIME], "tool_choice": "auto"})

    assert body["tools"] == [
        WEATHER,
        {"type": "function", "function": {"name": "time", "parameters": {"type": "object"}}},
    ]
    assert "tool_choice" not in body
    assert lost == []


@pytest.mark.parametrize(
    ("choice", "sent", "names"),
    [
        ("required", "REQUIRED", ["weather", "time"]),
        ("none", "NONE", ["weather", "time"]),
        ({"type": "function", "function": {"name": "time"}}, "REQUIRED", ["time"]),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TIME]}},
            None,
            ["time"],
        ),
    ],
)
def test_a_choice_that_names_tools_leaves_only_these(request_of, choice, sent, names):
    body, lost = request_of({"tools": [WEATHER, TIME], "tool_choice": choice})

    assert body.get("tool_choice") == sent
    assert [tool["function"]["name"] for tool in body["tools"]] == names
    assert lost == []


def test_strict_tools_are_strict_for_all(request_of):
    strict = {"type": "function", "function": {**WEATHER["function"], "strict": True}}

    assert request_of({"tools": [strict, TIME]})[0]["strict_tools"] is True


def test_results_answer_their_calls_and_a_plan_goes_back_as_one(request_of):
    body, lost = request_of({"messages": [*HI, CALLED, *RESULTS]})

    _, called, first, second = body["messages"]
    assert called["tool_plan"] == "I will look."
    assert [one["function"]["arguments"] for one in called["tool_calls"]] == ['{"city":1}', "{}"]
    assert first == {"role": "tool", "tool_call_id": "a", "content": "sun"}
    assert second["content"] == [
        {"type": "document", "document": {"data": {"error": "no clock"}}},
    ]
    assert lost == []


def test_images_of_a_result_and_other_tools_are_reported(request_of):
    image = {"type": "image_url", "image_url": {"url": "https://a.b"}}
    shown = {**RESULTS[0], "content": [{"type": "text", "text": "sun"}, image]}
    called = {**CALLED, "tool_calls": CALLED["tool_calls"][:1]}

    lost = request_of({"messages": [*HI, called, shown], "tools": [{"type": "web_search"}]})[1]

    assert lost == ["messages.content.image_url", "tools.web_search"]


def test_own_thoughts_go_back_and_others_are_reported(request_of):
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "thinking", "thinking": "No.", "signature": "sig"},
        {"type": "redacted_thinking", "data": "x"},
    ]
    said = {"role": "assistant", "content": "Yes.", "thinking_blocks": blocks}

    body, lost = request_of({"messages": [*HI, said, *HI]})

    assert body["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "text", "text": "Yes."},
    ]
    assert lost == ["messages.thinking_blocks"]


# --- generation
def test_sampling_and_limits_have_cohere_names(request_of):
    body, lost = request_of(
        {
            "temperature": 0.5,
            "top_p": 1,
            "top_k": 40,
            "max_completion_tokens": 10,
            "stop": ["a", "b"],
            "seed": 7,
            "frequency_penalty": 0.2,
            "logprobs": True,
            "citation_options": {"mode": "FAST"},
        }
    )

    del body["model"], body["messages"], body["stream"]
    assert body == {
        "temperature": 0.5,
        "p": 0.99,
        "k": 40,
        "max_tokens": 10,
        "stop_sequences": ["a", "b"],
        "seed": 7,
        "frequency_penalty": 0.2,
        "logprobs": True,
        "citation_options": {"mode": "FAST"},
    }
    assert lost == []


def test_what_cohere_has_no_place_for_is_reported(request_of):
    body, lost = request_of(
        {
            "n": 2,
            "stop": list("abcdef"),
            "frequency_penalty": 0.5,
            "presence_penalty": 0.5,
            "top_k": 1000,
            "top_logprobs": 2,
            "user": "u",
            "service_tier": "priority",
            "max_completion_tokens": 9999,
            "messages": [{**HI[0], "cache_control": {"type": "ephemeral"}}],
        },
        model=PLAIN,
    )

    assert set(lost) == {
        "n",
        "stop",
        "presence_penalty",
        "top_k",
        "top_logprobs",
        "user",
        "service_tier",
        "max_completion_tokens",
        "messages.cache_control",
    }
    assert (body["max_tokens"], body["k"]) == (4000, 500)


def test_json_and_schemas_are_a_json_object(request_of):
    schema = {
        "$ref": "#/$defs/A",
        "$defs": {"A": {**SCHEMA, "properties": {"n": {"type": "integer", "minimum": 1}}}},
    }
    shape = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}

    body, lost = request_of({"response_format": shape})
    free = request_of({"response_format": {"type": "json_object"}})[0]

    sent = {**SCHEMA, "properties": {"n": {"type": "integer"}}}
    assert body["response_format"] == {"type": "json_object", "json_schema": sent}
    assert lost == ["response_format.json_schema.schema.minimum"]
    assert free["response_format"] == {"type": "json_object"}


def test_a_format_beside_tools_is_reported(request_of):
    asked = {"response_format": {"type": "json_object"}, "tools": [TIME]}

    assert request_of(asked)[1] == ["response_format"]


@pytest.mark.parametrize(
    ("asked", "model", "sent", "lost"),
    [
        ({"effort": "high"}, THINKS, {"type": "enabled", "token_budget": 25600}, []),
        ({"budget_tokens": 500}, None, {"type": "enabled", "token_budget": 500}, []),
        ({"effort": "none"}, THINKS, {"type": "disabled"}, []),
        ({"effort": "max"}, THINKS, {"type": "enabled"}, []),
        ({"effort": "high"}, PLAIN, None, ["reasoning"]),
        ({"effort": "none"}, PLAIN, None, []),
    ],
)
def test_reasoning_is_thinking_with_a_budget(request_of, asked, model, sent, lost):
    body, told = request_of({"reasoning": asked}, model=model)

    assert body.get("thinking") == sent
    assert told == lost


def test_a_backends_safety_mode_is_for_plain_chats_that_name_none(request_of):
    named = request_of({"safety_mode": "OFF"}, safety_mode="STRICT")[0]
    plain = request_of({}, safety_mode="STRICT")[0]
    tools = request_of({"tools": [TIME]}, safety_mode="STRICT")[0]

    assert (named["safety_mode"], plain["safety_mode"]) == ("OFF", "STRICT")
    assert "safety_mode" not in tools


# --- other operations
def other(operation, document):
    loss = Loss()
    call = CanonicalCall(operation, document, "m")
    outgoing = CohereUpstream(CohereOptions()).request(call, loss)
    return outgoing, list(loss.names)


def test_embeddings_ask_for_floats():
    asked = {"input": "a", "dimensions": 256, "encoding_format": "base64", "input_type": "query"}

    outgoing, lost = other("embedding", asked)

    check_embed(outgoing.document)
    assert outgoing.path == "/v2/embed"
    assert outgoing.document == {
        "model": "m",
        "texts": ["a"],
        "input_type": "search_query",
        "embedding_types": ["float"],
        "output_dimension": 256,
    }
    assert lost == []


def test_other_embedding_types_can_be_asked_for_one_at_a_time():
    outgoing, lost = other("embedding", {"input": ["a"], "embedding_types": ["int8", "float"]})

    check_embed(outgoing.document)
    assert outgoing.document["embedding_types"] == ["int8"]
    assert outgoing.document["input_type"] == "search_document"
    assert lost == ["embedding_types"]


def test_tokens_cannot_be_embedded():
    with pytest.raises(InvalidCall) as error:
        other("embedding", {"input": [1, 2]})

    assert error.value.param == "input"


def test_a_ranking_is_asked_for_as_it_is():
    asked = {"query": "q", "documents": ["a", "b"], "top_n": 1, "user": "u"}

    outgoing, lost = other("rerank", asked)

    check_rerank(outgoing.document)
    assert outgoing.path == "/v2/rerank"
    assert outgoing.document == {"model": "m", "query": "q", "documents": ["a", "b"], "top_n": 1}
    assert lost == ["user"]
