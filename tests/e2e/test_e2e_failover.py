"""Failover over a real Envoy: one attempt per backend, each with its own key, path and model."""

from __future__ import annotations

import gzip
import json
import socket

import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.demo.upstream import DemoSettings
from pipeline.demo.upstream import serve as serve_demo
from pipeline.errors import ConfigError
from tests.support.stack import Seen, running_stack, upstream_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

UPSTREAMS = {
    "good": DemoSettings(),
    "other": DemoSettings(),
    "busy": DemoSettings(fail_status=503),
    "limited": DemoSettings(fail_status=429),
    "broken": DemoSettings(fail_status=500),
    "strict": DemoSettings(fail_status=400),
}
ROUTES = {
    "two": ["busy", "good"],
    "three": ["busy", "limited", "good"],
    "renamed": ["broken", "good"],
    "dead": ["gone", "good"],
    "deep": ["deep", "flat", "good"],
    "unpacked": ["broken", "other"],
    "keyless": ["keyless", "good"],
    "strict": ["strict", "good"],
    "all": ["busy", "limited"],
    "plain": ["busy", "other"],
    "cut": ["cut", "good"],
    "chained": ["busy", "good"],
    "anthropic": ["busy", "claude"],
}
CONFIG = {
    "plugins": {
        "rules": {
            "uses": "prompt_decorator",
            "with": {"prepend": [{"role": "system", "content": "Be kind."}]},
        }
    },
    "routes": [
        {
            "name": name,
            "match": {"path_prefix": f"/{name}/"},
            "plugins": ["rules"] if name == "chained" else [],
            "backends": backends,
            "timeout": "5s",
        }
        for name, backends in ROUTES.items()
    ],
}
CALL = {"model": "gpt-5", "messages": [{"role": "user", "content": "say: one two"}]}


def _unused_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


async def _cut_off(request):
    # Reads the call and closes the connection without a word.
    await request.read()
    request.transport.close()
    return web.Response()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(envoy):
    shared: list[Seen] = []
    demo = DemoSettings(on_request=lambda *request: shared.append(Seen(*request)))
    refused: list[Seen] = []

    async def refuse(request):
        body = await request.read()
        refused.append(Seen(request.method, request.raw_path, dict(request.headers), body))
        return web.Response(status=503)

    async with (
        upstream_of(_cut_off) as cut,
        upstream_of(refuse) as refuses,
        serve_demo(demo) as port,
    ):
        url = f"http://127.0.0.1:{port}/v1"
        deep = f"{refuses.removesuffix('/v1')}/v1/a/v1"
        own = {
            "broken": {"models": {"gpt-5": "mini", "x": "y"}},
            "good": {"models": {"gpt-5": "medium"}},
            "gone": {"provider": "openai", "url": f"http://127.0.0.1:{_unused_port()}/v1"},
            "cut": {"provider": "openai", "url": cut},
            "deep": {"provider": "openai", "url": deep, "api_key": "k1"},
            "flat": {"provider": "openai", "url": deep.replace("/v1/a/v1", "/b"), "api_key": "k2"},
            "keyless": {"provider": "openai", "url": refuses},
            "claude": {"provider": "anthropic", "url": url, "api_key": "key-of-claude"},
        }
        async with running_stack(
            {**CONFIG, "backends": own}, upstreams=UPSTREAMS, binary=envoy
        ) as made:
            made.seen |= {"shared": shared, "refusing": refused}
            yield made


@pytest.fixture
def ask(stack):
    async def send(route, path="chat/completions", headers=None, **fields):
        for requests in stack.seen.values():
            requests.clear()
        headers = {"authorization": "Bearer sk-client", **(headers or {})}
        return await stack.http.post(
            f"/{route}/v1/{path}", json={**CALL, **fields}, headers=headers
        )

    return send


def one(stack, name):
    (request,) = stack.seen[name]
    return request


def key(request):
    return request.headers.get("Authorization")


@pytest.mark.parametrize(
    ("route", "tried"),
    [
        ("two", ["busy", "good"]),
        ("three", ["busy", "limited", "good"]),
        ("renamed", ["broken", "good"]),
        ("dead", ["good"]),
        ("cut", ["good"]),
    ],
)
async def test_the_next_backend_answers(ask, stack, route, tried):
    answer = await ask(route)

    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "one two"
    for name in tried:
        request = one(stack, name)
        assert request.path == "/v1/chat/completions"
        assert key(request) == f"Bearer key-of-{name}"
        assert "sk-client" not in str(request)
        assert json.loads(request.body)["messages"] == CALL["messages"]
        assert request.headers["Host"].startswith("127.0.0.1:")


async def test_each_attempt_asks_for_its_backends_own_model(ask, stack):
    await ask("renamed")

    assert json.loads(one(stack, "broken").body)["model"] == "mini"
    assert json.loads(one(stack, "good").body)["model"] == "medium"

    await ask("renamed", model="other")
    assert json.loads(one(stack, "good").body)["model"] == "other"


async def test_without_names_of_its_own_a_backend_gets_the_clients_bytes(stack):
    stack.seen["other"].clear()
    body = b' {"model" : "gpt-5","messages":[{"content":"\\u00e9","role":"user"}] }\n'
    answer = await stack.http.post("/plain/v1/chat/completions?a=b%20c", content=body)

    assert answer.status_code == 200
    assert one(stack, "other").body == body
    assert one(stack, "other").path == "/v1/chat/completions?a=b%20c"


async def test_a_renamed_model_in_a_compressed_call(stack):
    stack.seen["good"].clear()
    body = gzip.compress(json.dumps(CALL).encode())
    answer = await stack.http.post(
        "/renamed/v1/chat/completions", content=body, headers={"content-encoding": "gzip"}
    )

    assert answer.status_code == 200, answer.text
    assert json.loads(one(stack, "good").body)["model"] == "medium"
    assert "content-encoding" not in {name.lower() for name in one(stack, "good").headers}


async def test_a_large_call_reaches_every_attempt_whole(ask, stack):
    answer = await ask("three", pad="é" * 300_000)

    assert answer.status_code == 200, answer.text
    assert len(json.loads(one(stack, "good").body)["pad"]) == 300_000
    assert len(json.loads(one(stack, "limited").body)["pad"]) == 300_000


async def test_what_the_chain_rewrote_reaches_every_attempt(ask, stack):
    assert (await ask("chained")).status_code == 200

    for name in ("busy", "good"):
        messages = json.loads(one(stack, name).body)["messages"]
        assert messages[0] == {"role": "system", "content": "Be kind."}


@pytest.mark.parametrize("route", ["two", "three", "dead", "chained"])
async def test_a_stream_fails_over_before_its_first_byte(ask, route):
    answer = await ask(route, stream=True)

    assert answer.headers["content-type"] == "text/event-stream"
    assert '"content":"one"' in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_the_clients_own_fault_is_not_retried(ask, stack):
    answer = await ask("strict")

    assert answer.status_code == 400
    assert stack.seen["good"] == []


async def test_the_last_failure_is_the_answer(ask, stack):
    answer = await ask("all")

    assert answer.status_code == 429
    assert answer.json()["error"]["code"] == "demo_failure"
    assert len(stack.seen["busy"]) == len(stack.seen["limited"]) == 1


@pytest.mark.parametrize("model", ["gpt-5", "other"])
async def test_each_attempt_starts_from_the_clients_path(ask, stack, model):
    answer = await ask("deep", model=model)

    assert answer.status_code == 200, answer.text
    first, second = stack.seen["refusing"]
    assert first.path == "/v1/a/v1/chat/completions"
    assert second.path == "/b/chat/completions"
    assert one(stack, "good").path == "/v1/chat/completions"
    assert [json.loads(request.body)["model"] for request in (first, second)] == [model] * 2


async def test_a_compressed_call_that_one_attempt_rewrote_is_compressed_for_the_next(stack):
    stack.seen["other"].clear()
    body = gzip.compress(json.dumps(CALL).encode())
    answer = await stack.http.post(
        "/unpacked/v1/chat/completions", content=body, headers={"content-encoding": "gzip"}
    )

    assert answer.status_code == 200, answer.text
    assert one(stack, "other").headers["Content-Encoding"] == "gzip"
    assert json.loads(one(stack, "other").body)["model"] == "gpt-5"


async def test_a_client_key_goes_to_a_first_backend_without_one_and_no_further(ask, stack):
    answer = await ask("keyless")

    assert answer.status_code == 200
    assert key(one(stack, "refusing")) == "Bearer sk-client"
    assert key(one(stack, "good")) == "Bearer key-of-good"


async def test_a_backend_without_a_key_cannot_follow_one_that_has(stack):
    routes = [{"name": "leak", "match": {"path": "/"}, "backends": ["good", "bare"]}]
    own = {"bare": {"provider": "openai", "url": "http://127.0.0.1:9/v1"}}
    with pytest.raises(
        ConfigError, match=r"'bare' has no api_key and would be sent that of 'good'"
    ):
        await running_stack(
            {"routes": routes, "backends": own}, upstreams={"good": DemoSettings()}
        ).__aenter__()


async def test_each_provider_has_its_own_header_for_the_key(ask, stack):
    answer = await ask("anthropic", path="messages", max_tokens=9, headers={"x-api-key": "sk-ant"})

    assert answer.status_code == 200, answer.text
    assert key(one(stack, "busy")) == "Bearer key-of-busy"
    assert one(stack, "shared").headers["x-api-key"] == "key-of-claude"
    assert key(one(stack, "shared")) is None
    assert "sk-" not in str(one(stack, "shared")) + str(one(stack, "busy"))


async def test_a_bad_call_reaches_no_backend(stack):
    stack.seen["busy"].clear()
    answer = await stack.http.post("/three/v1/chat/completions", content=b'{"model": 7}')

    assert answer.json()["error"]["code"] in {"invalid_type", "missing_field"}
    assert stack.seen["busy"] == []
