"""Every operation of OpenAI, vLLM and Azure, served by their strict simulators."""

from __future__ import annotations

import base64
import json
import struct
from types import SimpleNamespace

import pytest
from aiohttp.test_utils import TestClient, TestServer
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.responses.input_token_count_response import InputTokenCountResponse

from pipeline.api import Headers, InvalidCall
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.clients.chat import ChatClient
from plugins.translate.clients.completions import CompletionsClient
from plugins.translate.clients.count_tokens import InputTokensClient, TokenizeClient
from plugins.translate.clients.embeddings import EmbeddingsClient
from plugins.translate.clients.rerank import RerankClient
from plugins.translate.formats import Fault
from plugins.translate.translation import SseCut
from plugins.translate.upstreams import openai
from plugins.translate.upstreams.azure import SPEC as AZURE
from plugins.translate.upstreams.azure import AzureOpenAIOptions, AzureUpstream
from plugins.translate.upstreams.openai import OpenAIOptions, OpenAIUpstream
from plugins.translate.upstreams.presets import preset_quirks
from tests.support.providers import azure as azure_simulator
from tests.support.providers import openai as openai_simulator
from tests.support.providers.openai import ANSWER, COUNTED

OPENAI = OpenAIUpstream()
VLLM = OpenAIUpstream(preset_quirks("vllm"))
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


async def served(upstream, client, document, *, stream=False, application=None, base="/v1"):
    """Send a client's call and return the client's answer, the losses, and what was sent."""
    loss = Loss()
    canonical = client.canonical(document, loss)
    call = CanonicalCall(client.operation, canonical, document["model"], stream)
    outgoing = upstream.request(call, loss)
    application, seen = application or openai_simulator.app()
    path = outgoing.path if outgoing.beside_version else base + outgoing.path
    async with TestClient(TestServer(application)) as http:
        response = await http.post(path, json=outgoing.document)
        raw = await response.read()
    assert response.status == 200, raw
    if stream:
        return streamed(upstream, client, call, raw), loss.names, seen[0]
    return client.answer(upstream.answer(json.loads(raw), call), document), loss.names, seen[0]


def streamed(upstream, client, call, raw):
    decoder, encoder = upstream.decoder(call), client.encoder(call.document)
    out = b"".join(
        encoder.chunk(chunk)
        for name, data in SseCut().feed(raw)
        for chunk in decoder.event(name, data)
    )
    assert decoder.end() == []
    return [data for _, data in SseCut().feed(out + encoder.end())]


@pytest.mark.parametrize("upstream", [OPENAI, VLLM])
async def test_a_legacy_completion_is_served(upstream):
    document = {"model": "m", "prompt": "a", "stop": "x", "suffix": "b"}
    answer, lost, seen = await served(upstream, CompletionsClient(), document)

    Completion.model_validate(answer)
    assert answer["choices"][0]["text"] == ANSWER
    assert seen.body["stop"] == ["x"]
    assert lost == ()


@pytest.mark.parametrize("asks", [True, False])
async def test_a_legacy_stream_has_usage_for_who_asked(asks):
    document = {"model": "m", "prompt": "a", "stream": True}
    if asks:
        document["stream_options"] = {"include_usage": True}
    events, _, _ = await served(OPENAI, CompletionsClient(), document, stream=True)
    *chunks, done = events
    texts = [choice["text"] for one in chunks for choice in json.loads(one)["choices"]]

    assert done == "[DONE]"
    assert "".join(texts) == ANSWER
    assert ("usage" in json.loads(chunks[-1])) is asks


async def test_embeddings_come_in_the_encoding_that_the_client_asked_for():
    document = {"model": "m", "input": ["a", "b"], "encoding_format": "base64", "input_type": "q"}
    answer, lost, seen = await served(OPENAI, EmbeddingsClient(), document)
    vector = struct.unpack("<2f", base64.b64decode(answer["data"][1]["embedding"]))
    plain, _, _ = await served(OPENAI, EmbeddingsClient(), {"model": "m", "input": "a"})

    CreateEmbeddingResponse.model_validate(plain)
    assert vector == (0.5, -0.25)
    assert plain["data"][0]["embedding"] == [0.5, -0.25]
    assert seen.body["encoding_format"] == "float"
    assert lost == ("input_type",)


DOCUMENTS = ["b", {"text": "c", "id": "7"}, {"title": "d", "year": 3}]


async def test_a_rerank_takes_texts_of_any_kind_and_gives_back_what_it_was_given():
    document = {"model": "m", "query": "a", "documents": DOCUMENTS, "return_documents": True}
    answer, lost, seen = await served(VLLM, RerankClient(), {**document, "max_chunks_per_doc": 2})

    assert seen.path == "/v1/rerank"
    assert seen.body["documents"] == ["b", "c", "title: d\nyear: 3\n"]
    assert [one["document"] for one in answer["results"]] == [{"text": "b"}, *DOCUMENTS[1:]]
    assert answer["meta"] == {"tokens": {"input_tokens": 9}}
    assert lost == ("max_chunks_per_doc",)


async def test_a_rerank_may_name_fields_and_need_no_documents_back():
    document = {"model": "m", "query": "a", "documents": DOCUMENTS[1:], "rank_fields": ["title"]}
    answer, lost, seen = await served(VLLM, RerankClient(), {**document, "top_n": 1})

    assert seen.body["documents"] == ["{}\n", "title: d\n"]
    assert answer["results"] == [{"index": 0, "relevance_score": 1.0}]
    assert lost == ()


CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, PNG]},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "b"}, {"type": "refusal", "refusal": "no"}],
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "weather"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "d"},
    ],
    "tools": [TOOL],
    "reasoning_effort": "low",
}


async def test_openai_counts_a_chat_as_the_input_of_a_response():
    CHAT["messages"][2]["tool_calls"][0]["function"]["arguments"] = "{}"
    answer, _, seen = await served(OPENAI, InputTokensClient(ChatClient()), CHAT)

    InputTokenCountResponse.model_validate(answer)
    assert answer["input_tokens"] == COUNTED
    assert seen.path == "/v1/responses/input_tokens"
    assert [one.get("type", one.get("role")) for one in seen.body["input"]] == [
        "system",
        "user",
        "assistant",
        "function_call",
        "function_call_output",
    ]


@pytest.mark.parametrize(
    "document", [CHAT, {"model": "m", "prompt": "a", "return_token_strs": True}]
)
async def test_vllm_counts_beside_its_version_and_gives_the_tokens(document):
    answer, lost, seen = await served(VLLM, TokenizeClient(), document)

    assert seen.path == "/tokenize"
    assert ("prompt" in seen.body) is ("prompt" in document)
    assert answer == {"count": 3, "max_model_len": 4096, "tokens": [1, 2, 3]}
    assert "prompt" not in lost


def test_a_count_needs_something_to_count():
    with pytest.raises(InvalidCall) as caught:
        TokenizeClient().canonical({"model": "m", "prompt": [1, 2]}, Loss())

    assert caught.value.code == "missing_field"


def test_who_knows_only_counts_gets_zero_for_the_rest():
    assert TokenizeClient().answer({"input_tokens": 5}, {}) == {
        "count": 5,
        "max_model_len": 0,
        "tokens": [],
    }


@pytest.mark.parametrize("document", [{}, {"count": "3"}, {"results": 1}, {"data": "x"}])
@pytest.mark.parametrize("operation", ["count_tokens", "rerank", "embedding"])
def test_what_is_no_answer_is_refused(operation, document):
    with pytest.raises((ValueError, KeyError)):
        OPENAI.answer(document, CanonicalCall(operation, {}, "m"))


def test_organization_and_project_are_headers_of_translated_calls():
    backend = SimpleNamespace(options=OpenAIOptions(organization="org-1", project="p-1"))
    upstream = openai.SPEC.upstream(backend)
    call = CanonicalCall("chat", {"messages": []}, "m")

    assert upstream.request(call, Loss()).headers == {
        "openai-organization": "org-1",
        "openai-project": "p-1",
    }


def test_native_calls_go_on_as_they_are():
    assert {native.wrap for native in OPENAI.native.values()} == {None}


# --- Azure


@pytest.mark.parametrize(
    ("options", "base", "path", "query"),
    [
        ({}, "/openai/v1", "/openai/v1/chat/completions", ""),
        ({}, "", "/openai/v1/chat/completions", ""),
        ({"api_version": "preview"}, "/openai", "/openai/v1/chat/completions", "preview"),
        (
            {"api_version": "2024-10-21"},
            "",
            "/openai/deployments/my%20gpt/chat/completions",
            "2024-10-21",
        ),
        (
            {"api_version": "2024-10-21"},
            "/openai/",
            "/openai/deployments/my%20gpt/chat/completions",
            "2024-10-21",
        ),
    ],
)
async def test_azure_has_a_path_for_every_way_to_name_it(options, base, path, query):
    upstream = AzureUpstream(AzureOpenAIOptions(**options), base)
    document = {"messages": [{"role": "user", "content": "hi"}]}
    outgoing = upstream.request(CanonicalCall("chat", document, "my gpt"), Loss())
    wrap = upstream.native["openai.chat"].wrap
    call = SimpleNamespace(dialect=SimpleNamespace(name="openai.chat"), document=document)
    application, seen = azure_simulator.app()
    async with TestClient(TestServer(application)) as client:
        url = client.make_url("/").with_path(base.rstrip("/") or "/")
        target = str(url).rstrip("/") + outgoing.path
        response = await client.session.post(target, json=outgoing.document)

    assert response.status == 200
    assert base.rstrip("/") + outgoing.path.partition("?")[0] == path
    assert seen[0].query == (f"api-version={query}" if query else "")
    if outgoing.path == "/chat/completions":
        assert wrap is None
    else:
        assert wrap(call, "my gpt", Headers(), Loss()).path == outgoing.path


def test_azures_dated_api_has_responses_beside_its_deployments_and_counts_nothing():
    upstream = AzureUpstream(AzureOpenAIOptions(api_version="2025-04-01-preview"), "")
    call = SimpleNamespace(dialect=SimpleNamespace(name="openai.responses"), document={})

    outgoing = upstream.native["openai.responses"].wrap(call, "d", Headers(), Loss())

    assert outgoing.path == "/openai/responses?api-version=2025-04-01-preview"
    assert "count_tokens" not in upstream.operations
    assert "rerank" not in upstream.operations
    assert "openai.input_tokens" not in upstream.native


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"resource": "r"}, "https://r.openai.azure.com/openai/v1"),
        ({"resource": "r", "api_version": "2024-10-21"}, "https://r.openai.azure.com/openai"),
        ({}, ""),
    ],
)
def test_azures_url_is_its_resources(options, url):
    assert AZURE.default_url(AzureOpenAIOptions(**options)) == url


@pytest.mark.parametrize(
    ("text", "status", "code"), [("jailbreak", 400, "content_filter"), ("hi", 401, "401")]
)
async def test_azures_errors_are_read(text, status, code):
    upstream = AzureUpstream(AzureOpenAIOptions(), "/openai/v1")
    application, _ = azure_simulator.app(key="k")
    headers = {"api-key": "k"} if text == "jailbreak" else {}
    document = {"model": "d", "messages": [{"role": "user", "content": text}]}
    async with TestClient(TestServer(application), headers=headers) as client:
        response = await client.post("/openai/v1/chat/completions", json=document)
        fault = upstream.fault(response.status, Headers(), await response.read())

    assert isinstance(fault, Fault)
    assert fault.status == status
    assert fault.code == (code if not code.isdecimal() else "invalid_api_key")
