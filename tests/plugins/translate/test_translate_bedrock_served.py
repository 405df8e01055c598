"""Every client's API on Bedrock: signed, checked and answered by its strict simulator."""

from __future__ import annotations

import inspect
import json
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import TestClient, TestServer
from anthropic.types import Message
from cohere.v2 import V2RerankResponse
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from yarl import URL

from pipeline.api import Backend, Call, Headers, InvalidCall, Request
from pipeline.dialects.registry import builtin
from plugins.translate.clients import CLIENTS
from plugins.translate.connection import ProviderConnection
from plugins.translate.translation import SseCut
from plugins.translate.upstreams.bedrock_converse import SPEC
from tests.support.providers import bedrock

DIALECTS = builtin()
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/anthropic/v1/messages",
    "responses": "/v1/responses",
}
KEYS = {
    "access_key_id": bedrock.KEYS.access_key,
    "secret_access_key": bedrock.KEYS.secret_key,
    "session_token": bedrock.KEYS.token,
    "region": bedrock.REGION,
}
TOOL = {"name": "weather", "description": "w", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture
async def simulator():
    application, seen = bedrock.app(bearer="bedrock-key")
    async with TestClient(TestServer(application), auto_decompress=False) as client:
        client.seen = seen
        yield client


def asking(api, text):
    """Return a call that says the same in each client's API."""
    said = [{"role": "user", "content": text}]
    if api == "chat":
        return {"model": "m", "messages": said, "tools": [{"type": "function", "function": TOOL}]}
    if api == "responses":
        return {"model": "m", "input": text, "tools": [{"type": "function", **TOOL}]}
    schema = {"name": "weather", "input_schema": TOOL["parameters"]}
    return {"model": "m", "max_tokens": 900, "messages": said, "tools": [schema]}


async def exchange(simulator, path, document, *, api_key="", model=CLAUDE, **options):
    """Send a call through a connection, as the host does; return status and body."""
    backend = Backend(
        name="aws",
        provider="aws_bedrock",
        url=urlsplit(str(simulator.make_url("/"))),
        api_key=api_key,
        models={"m": model},
        options=SPEC.options(**{**({} if api_key else KEYS), **options}),
    )
    headers = Headers([("authorization", b"Bearer client-key"), ("x-api-key", b"client-key")])
    call = Call(DIALECTS.for_path(path), document, json.dumps(document).encode())
    connection = ProviderConnection(backend, SPEC, CLIENTS)
    await connection.start()
    attempt = connection.prepare(Request("POST", path, "", "gateway", headers), call)
    if inspect.isawaitable(attempt):
        attempt = await attempt
    await connection.close()
    sent = {k: v for k, v in attempt.headers.set.items() if not k.startswith(":")}
    url = URL(str(simulator.make_url("")) + attempt.headers.set[":path"], encoded=True)
    response = await simulator.session.post(url, data=attempt.body, headers=sent)
    raw = await response.read()
    pairs = [(name.lower(), value.encode()) for name, value in response.headers.items()]
    begun = attempt.translation.begin(response.status, Headers(pairs))
    if begun.body == "stream":
        pieces = [attempt.translation.feed(raw[at : at + 11]) for at in range(0, len(raw), 11)]
        return response.status, b"".join(pieces) + attempt.translation.end()
    translated = attempt.translation.whole(raw)
    return translated.status or response.status, translated.body


@pytest.mark.parametrize("question", ["hello", "think", "tool", "cite", "cached", "too long"])
@pytest.mark.parametrize(
    ("api", "kind"), [("chat", ChatCompletion), ("messages", Message), ("responses", Response)]
)
async def test_every_client_is_answered_in_its_own_types(simulator, api, kind, question):
    status, body = await exchange(simulator, PATHS[api], asking(api, question))

    assert status == 200
    kind.model_validate_json(body)
    assert "client-key" not in str(simulator.seen[0].headers)


@pytest.mark.parametrize("api", PATHS)
async def test_every_client_gets_its_own_stream(simulator, api):
    document = {**asking(api, "think tool"), "stream": True}
    status, body = await exchange(simulator, PATHS[api], document)
    events = SseCut().feed(body)

    assert status == 200
    told = "".join(data for _, data in events)
    assert "weather" in told
    last = {"chat": "[DONE]", "messages": "message_stop", "responses": "response.completed"}
    assert last[api] in events[-1][1]


@pytest.mark.parametrize("api", PATHS)
async def test_an_exception_in_a_stream_is_every_clients_own_error(simulator, api):
    document = {**asking(api, "exception throttlingException"), "stream": True}
    _, body = await exchange(simulator, PATHS[api], document)

    told = SseCut().feed(body)[-1]
    assert "as you asked" in body.decode()
    assert "message_stop" not in told[1]


@pytest.mark.parametrize(("status", "shown"), [(429, 429), (424, 502), (408, 504), (503, 503)])
@pytest.mark.parametrize("api", PATHS)
async def test_errors_are_every_clients_own(simulator, api, status, shown):
    got, body = await exchange(simulator, PATHS[api], asking(api, f"error {status}"))

    assert got == shown
    assert json.loads(body)["error"]["message"] == "as you asked"


async def test_an_error_page_is_an_error_too(simulator):
    status, body = await exchange(simulator, PATHS["chat"], asking("chat", "html"))

    assert status == 502
    assert "html" not in json.loads(body)["error"]["message"]


async def test_a_bedrock_api_key_is_taken(simulator):
    status, _ = await exchange(
        simulator, PATHS["chat"], asking("chat", "hi"), api_key="bedrock-key"
    )

    assert status == 200
    assert simulator.seen[0].headers["authorization"] == "Bearer bedrock-key"


async def test_embeddings(simulator):
    document = {"model": "m", "input": ["a", "b"], "dimensions": 256}
    status, body = await exchange(simulator, "/v1/embeddings", document, model="cohere.embed-v4:0")

    assert status == 200
    made = CreateEmbeddingResponse.model_validate_json(body)
    assert [len(one.embedding) for one in made.data] == [256, 256]
    assert (made.usage.prompt_tokens, made.usage.total_tokens) == (2, 2)


async def test_reranking(simulator):
    document = {"model": "m", "query": "q", "documents": ["a", {"text": "b"}], "top_n": 2}
    status, body = await exchange(simulator, "/v1/rerank", document, model="cohere.rerank-v3-5:0")

    assert status == 200
    assert len(V2RerankResponse.model_validate_json(body).results) == 2
    assert simulator.seen[0].body["documents"] == ["a", "b"]


async def test_counting(simulator):
    document = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    status, body = await exchange(simulator, "/v1/messages/count_tokens", document)

    assert (status, json.loads(body)) == (200, {"input_tokens": 42})


async def test_a_strict_backend_refuses_what_would_be_lost(simulator):
    backend = Backend(
        name="aws",
        provider="aws_bedrock",
        url=urlsplit(str(simulator.make_url("/"))),
        strict=True,
        options=SPEC.options(**KEYS),
    )
    call = Call(DIALECTS.for_path(PATHS["chat"]), {**asking("chat", "hi"), "seed": 1}, None)
    request = Request("POST", PATHS["chat"], "", "gateway", Headers())

    with pytest.raises(InvalidCall, match="seed"):
        ProviderConnection(backend, SPEC, CLIENTS).prepare(request, call)
