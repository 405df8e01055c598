"""Gemini, Vertex AI and Cohere behind every chat client, served by their strict simulators."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import TestClient, TestServer
from anthropic.types import Message
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from pipeline.api import Backend, Call, Headers, Request
from pipeline.api.provider import Begun
from pipeline.dialects.registry import builtin
from plugins.translate.clients import CLIENTS
from plugins.translate.connection import ProviderConnection
from plugins.translate.upstreams import cohere, gemini, gemini_vertex
from tests.support.providers import cohere as cohere_simulator
from tests.support.providers import gemini as gemini_simulator
from tests.support.providers.gemini_rules import SIGNATURE

PROVIDERS = {
    "gemini": (gemini.SPEC, {}, gemini_simulator, "/v1beta", "gemini-3-test"),
    "gemini-2.5": (gemini.SPEC, {"key_in": "query"}, gemini_simulator, "/v1beta", "gemini-2.5-x"),
    "vertex": (gemini_vertex.SPEC, {"project": "p"}, gemini_simulator, "/v1", "gemini-3-test"),
    "express": (gemini_vertex.SPEC, {}, gemini_simulator, "/v1", "gemini-3-test"),
    "cohere": (cohere.SPEC, {}, cohere_simulator, "", "command-test"),
}
FUNCTION = {"name": "weather", "parameters": {"type": "object"}}


def chat(question, **more):
    return {"model": "m", "messages": [{"role": "user", "content": question}], **more}


ASKS = {
    "openai.chat": lambda question: chat(
        question, tools=[{"type": "function", "function": FUNCTION}]
    ),
    "anthropic.messages": lambda question: chat(
        question, max_tokens=99, tools=[{"name": "weather", "input_schema": {"type": "object"}}]
    ),
    "openai.responses": lambda question: {
        "model": "m",
        "input": question,
        "tools": [{"type": "function", "strict": False, **FUNCTION}],
    },
}
VALID = {
    "openai.chat": ChatCompletion,
    "anthropic.messages": Message,
    "openai.responses": Response,
}


class Served:
    """One provider's connection to its simulator.

    Args:
        name: which of PROVIDERS.
        key: the key that the backend is given; the simulator takes `k` only.
    """

    def __init__(self, name, key="k"):
        spec, options, simulator, base, model = PROVIDERS[name]
        url = urlsplit(f"https://backend.example{base}")
        given = spec.options.model_validate(options)
        backend = Backend("b", spec.name, url, api_key=key, models={"m": model}, options=given)
        self.connection = ProviderConnection(backend, spec, CLIENTS)
        self.application, self.seen = simulator.app("k")

    async def ask(self, dialect, document):
        """Return status and body that the client gets, and what was not carried."""
        spoken = builtin().by_name(dialect)
        request = Request("POST", spoken.paths[0], "", "gateway", Headers([]))
        attempt = self.connection.prepare(
            request, Call(spoken, document, json.dumps(document).encode())
        )
        sending = dict(attempt.headers.set)
        path = sending.pop(":path")
        async with TestClient(TestServer(self.application)) as http:
            response = await http.post(path, data=attempt.body, headers=sending)
            raw, status = await response.read(), response.status
        kind = response.headers["content-type"].encode()
        begun = attempt.translation.begin(status, Headers([("content-type", kind)]))
        assert isinstance(begun, Begun)
        if begun.body == "whole":
            whole = attempt.translation.whole(raw)
            return whole.status or status, whole.body, attempt.dropped
        pieces = [raw[at : at + 100] for at in range(0, len(raw), 100)]
        out = b"".join(attempt.translation.feed(piece) for piece in pieces)
        return status, out + attempt.translation.end(), attempt.dropped


def folded(dialect, raw):
    spoken = builtin().by_name(dialect)
    return spoken.fold(
        spoken.decode_event(f"data: {line}\n\n".encode(), "", line)
        for line in (one[6:] for one in raw.decode().splitlines() if one.startswith("data: "))
    )


@pytest.mark.parametrize("dialect", ASKS)
@pytest.mark.parametrize("name", PROVIDERS)
async def test_every_chat_client_gets_a_valid_answer_with_tool_calls(name, dialect):
    served = Served(name)

    status, raw, dropped = await served.ask(dialect, ASKS[dialect]("use a tool"))

    assert (status, dropped) == (200, ())
    VALID[dialect].model_validate(json.loads(raw))
    assert "weather" in raw.decode()
    assert "I will look." in raw.decode()


@pytest.mark.parametrize("dialect", ASKS)
@pytest.mark.parametrize("name", PROVIDERS)
async def test_every_chat_client_gets_a_stream_that_adds_up(name, dialect):
    served = Served(name)
    document = {**ASKS[dialect]("hello"), "stream": True}

    _, raw, _ = await served.ask(dialect, document)

    assert "You said 'hello'" in json.dumps(folded(dialect, raw))


@pytest.mark.parametrize("dialect", ASKS)
@pytest.mark.parametrize("name", PROVIDERS)
async def test_errors_have_the_clients_shape_and_the_providers_status(name, dialect):
    status, raw, _ = await Served(name).ask(dialect, ASKS[dialect]("error 429"))

    assert status == 429
    assert json.loads(raw)["error"]["message"] == "as you asked"


@pytest.mark.parametrize("dialect", ASKS)
@pytest.mark.parametrize("name", ["gemini", "cohere"])
@pytest.mark.parametrize("question", ["cut", "broken stream"])
async def test_a_stream_that_fails_ends_in_the_clients_error(name, dialect, question):
    document = {**ASKS[dialect](question), "stream": True}
    if dialect == "openai.chat":
        document["reasoning_effort"] = "low"

    _, raw, _ = await Served(name).ask(dialect, document)

    assert b'"error"' in raw


@pytest.mark.parametrize("name", ["gemini", "gemini-2.5", "vertex", "cohere"])
async def test_a_wrong_key_is_a_401(name):
    assert (await Served(name, key="wrong").ask("openai.chat", chat("hi")))[0] == 401


async def test_where_the_key_goes():
    header, query, vertex = Served("gemini"), Served("gemini-2.5"), Served("vertex")
    for served in (header, query, vertex):
        await served.ask("openai.chat", chat("hi"))

    assert header.seen[0].headers["x-goog-api-key"] == "k"
    assert query.seen[0].path.endswith(":generateContent?key=k")
    assert "x-goog-api-key" not in query.seen[0].headers
    assert vertex.seen[0].path.startswith("/v1/projects/p/locations/global/publishers/google/")


async def test_a_responses_client_brings_signatures_back():
    served = Served("gemini")
    asked = ASKS["openai.responses"]("use a tool")
    _, raw, _ = await served.ask("openai.responses", {**asked, "reasoning": {"effort": "low"}})
    said = json.loads(raw)["output"]
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "sun"}
        for item in said
        if item["type"] == "function_call"
    ]
    turn = [{"role": "user", "content": "use a tool"}, *said, *results]

    status, _, dropped = await served.ask("openai.responses", {**asked, "input": turn})

    assert (status, dropped) == (200, ())
    signatures = [
        part.get("thoughtSignature")
        for content in served.seen[1].body["contents"]
        for part in content["parts"]
        if "functionCall" in part
    ]
    assert signatures == [f"{SIGNATURE}Y2Fs"]


@pytest.mark.parametrize(
    ("name", "model", "verb"),
    [
        ("gemini", "m", "batchEmbedContents"),
        ("vertex", "text-embedding-005", "predict"),
        ("vertex", "m", "embedContent"),
        ("cohere", "m", "embed"),
    ],
)
async def test_embeddings_are_served_in_base64_too(name, model, verb):
    served = Served(name)
    document = {"model": model, "input": "a", "encoding_format": "base64"}

    status, raw, dropped = await served.ask("openai.embeddings", document)

    assert (status, dropped) == (200, ())
    assert isinstance(json.loads(raw)["data"][0]["embedding"], str)
    assert served.seen[0].path.endswith(verb)


async def test_rerank_is_served_for_its_first_version_too():
    served = Served("cohere")
    document = {
        "model": "m",
        "query": "q",
        "documents": [{"text": "a"}, "b"],
        "return_documents": True,
    }

    status, raw, _ = await served.ask("cohere.rerank", document)

    assert status == 200
    assert [one["document"] for one in json.loads(raw)["results"]] == [{"text": "b"}, {"text": "a"}]


@pytest.mark.parametrize("name", ["gemini", "vertex", "express"])
async def test_tokens_are_counted(name):
    document = ASKS["anthropic.messages"]("hello")

    status, raw, _ = await Served(name).ask("anthropic.count_tokens", document)

    assert (status, json.loads(raw)) == (200, {"input_tokens": gemini_simulator.COUNTED})
