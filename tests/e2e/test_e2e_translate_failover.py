"""Failover from one provider's format to another's over a real Envoy: nobody notices, no key leaks.

The first two backends of a route fail in one way; the last one, of a third format, answers.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import defaultdict

import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from plugins.translate.upstreams import SPECS
from tests.support.envoys import NEWEST, binary_of
from tests.support.providers.bedrock import KEYS
from tests.support.providers.openai import ANSWER
from tests.support.stack import upstream_of
from tests.support.translate_matrix import hello_stream
from tests.support.translated_clients import APIS, CLIENT_KEY, Wish, clients_of
from tests.support.translated_stack import HEADER, SIMULATED, translated_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

ASKED = [{"role": "user", "content": "hello"}]
PATHS = {
    "chat": ("/v1/chat/completions", {"messages": ASKED}),
    "messages": ("/v1/messages", {"messages": ASKED, "max_tokens": 99}),
    "responses": ("/v1/responses", {"input": "hello"}),
}
CELL = "x-cell"
LAST_WORD = {"chat": b"[DONE]", "messages": b"message_stop", "responses": b"response.completed"}
FAULTS = ("unavailable", "limited", "refused", "reset")
RING = ("openai", "anthropic", "gemini", "aws_bedrock", "cohere")
"""Each answers in the end somewhere; the next two of the ring are tried before it."""
STREAMS = {spec.name: hello_stream(spec) for spec in SPECS if spec.name in RING}
BASES = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta"}
KEY = {name: f"bad-key-of-{name}" for name in RING} | {"aws_bedrock": "AKIDBAD"}
BAD_AWS = {
    **SIMULATED["aws_bedrock"].keys,
    "access_key_id": KEY["aws_bedrock"],
    "session_token": "bad-session",
}
SECRETS = {
    CLIENT_KEY,
    "bad-session",
    KEYS.token,
    KEYS.access_key,
    *KEY.values(),
    *(SIMULATED[name].secret for name in RING if name != "aws_bedrock"),
}
OWN = {
    "aws_bedrock": {KEYS.token, KEYS.access_key},
    **{name: {SIMULATED[name].secret} for name in RING if name != "aws_bedrock"},
}
BAD_OWN = {name: {KEY[name]} for name in RING} | {
    "aws_bedrock": {KEY["aws_bedrock"], "bad-session"}
}
KEYED = ("x-amz-", "x-goog-", "api-key", "x-api-key")
"""How names of headers begin that belong to one provider's credentials."""


class Bad:
    """Backends that fail, each as its path says."""

    def __init__(self):
        self.asked = []
        self.read = defaultdict(asyncio.Event)

    async def handle(self, request):
        await request.read()
        fault, name = request.path.split("/")[1:3]
        self.asked.append((name, dict(request.headers)))
        match fault:
            case "unavailable":
                return web.Response(status=503, text="<html>Down</html>", content_type="text/html")
            case "limited":
                error = {"error": {"message": "slow down"}}
                return web.json_response(error, status=429, headers={"retry-after": "9"})
            case "hung":
                await asyncio.Event().wait()
            case "died":
                return await self.die(name, request)
        request.transport.abort()
        return web.Response()

    async def die(self, name, request):
        headers, raw = STREAMS[name]
        response = web.StreamResponse(headers={"content-type": headers.get("content-type")})
        await response.prepare(request)
        await response.write(raw[: len(raw) * 2 // 3])
        await self.read[request.headers[CELL]].wait()
        request.transport.abort()
        return response


def before(last):
    at = RING.index(last)
    return [RING[(at + step) % len(RING)] for step in (1, 2)]


def text_of(last, asked="hello"):
    if last == "openai":
        return ANSWER
    if last == "aws_bedrock":
        return f"You said: {asked}"
    files = " and 0 files" if last == "anthropic" else ""
    return f"You said {asked!r} with 0 images{files}. ✓"


def unused_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def bad_backend(url, fault, name):
    if fault == "refused":
        url = f"http://127.0.0.1:{unused_port()}"
    keys = BAD_AWS if name == "aws_bedrock" else {"api_key": KEY[name]}
    made = f"{url}/{fault}/{name}{BASES.get(name, '')}"
    return {"like": name, **keys, "url": made}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running():
    bad = Bad()
    async with upstream_of(bad.handle) as url:
        base = url.removesuffix("/v1")
        faults = (*FAULTS, "hung", "died")
        backends = {
            f"{fault}-{name}": bad_backend(base, fault, name) for fault in faults for name in RING
        }
        routes = [
            {
                "name": f"{fault}-{last}",
                "backends": [*(f"{fault}-{name}" for name in before(last)), last],
                **({"retries": {"per_try_timeout": "1s"}} if fault == "hung" else {}),
            }
            for fault in (*FAULTS, "hung")
            for last in RING
        ]
        routes += [
            {"name": f"died-{name}", "backends": [f"died-{name}", "openai"]} for name in RING
        ]
        async with (
            translated_stack(
                binary_of(NEWEST), names=RING, routes=routes, backends=backends
            ) as made,
            clients_of(made.stack.url) as clients,
        ):
            yield made, clients, bad


@pytest.fixture
def bad(running):
    made, _, bad = running
    bad.asked.clear()
    made.forget()
    return bad


@pytest.fixture
def seen(running, bad):
    return running[0].seen


@pytest.fixture
def ask(running, bad):
    async def ask(api, route, text="hello", **wish):
        return await running[1].sdk(api, route).ask(Wish(text, **wish))

    return ask


def secrets_in(headers):
    """Return whose secrets some headers hold."""
    values = " ".join(headers.values())
    return {secret for secret in SECRETS if secret in values}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("last", RING)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_third_format_answers_where_two_others_failed(
    ask, bad, seen, fault, last, api, stream
):
    said = await ask(api, f"{fault}-{last}", stream=stream)

    assert said.text == text_of(last)
    assert said.used[1] > 0
    assert [name for name, _ in bad.asked] == ([] if fault == "refused" else before(last))
    assert len(seen[last]) == 1


@pytest.mark.parametrize("last", RING)
async def test_nobody_is_sent_what_was_meant_for_another(ask, bad, seen, last):
    await ask("chat", f"unavailable-{last}")

    for name, headers in bad.asked:
        assert secrets_in(headers) == BAD_OWN[name]
    [request] = seen[last]
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert secrets_in(headers) == OWN[last]
    own = {"aws_bedrock": "x-amz-", "gemini": "x-goog-", "anthropic": "x-api-key"}.get(last, "-")
    foreign = [one for one in headers if one.startswith(KEYED) and not one.startswith(own)]
    assert foreign == []


async def test_who_says_nothing_is_given_up_for_the_next(ask, bad):
    cells = list(itertools.product(RING, APIS, [False, True]))
    answers = await asyncio.gather(
        *(ask(api, f"hung-{last}", stream=stream) for last, api, stream in cells)
    )

    assert [said.text for said in answers] == [text_of(last) for last, _, _ in cells]
    assert len(bad.asked) == 2 * len(cells)


async def test_many_at_once_each_get_the_answer_to_their_own_question(ask):
    cells = list(itertools.product(FAULTS, RING[1:], APIS, [False, True]))
    texts = [f"question {number}" for number in range(len(cells))]
    answers = await asyncio.gather(
        *(
            ask(api, f"{fault}-{last}", text, stream=stream)
            for text, (fault, last, api, stream) in zip(texts, cells, strict=True)
        )
    )

    assert [said.text for said in answers] == [
        text_of(last, text) for text, (_, last, _, _) in zip(texts, cells, strict=True)
    ]


async def broken_off(http, bad, name, api):
    """Return what is read of a stream whose connection is lost, and whether it was broken off."""
    path, call = PATHS[api]
    call = {**call, "model": "a-model", "stream": True}
    cell = f"{name}-{api}"
    headers = {HEADER: f"died-{name}", CELL: cell}
    data = b""
    try:
        async with http.stream("POST", path, json=call, headers=headers) as answer:
            async for piece in answer.aiter_raw():
                data += piece
                bad.read[cell].set()
    except httpx.TransportError:
        return data, True
    return data, False


async def test_a_stream_that_dies_in_the_middle_never_looks_complete_and_nobody_goes_on(
    running, bad, seen
):
    http = running[0].stack.http
    cells = list(itertools.product(RING, PATHS))
    endings = await asyncio.gather(*(broken_off(http, bad, *cell) for cell in cells))

    for (_, api), (data, is_broken_off) in zip(cells, endings, strict=True):
        assert data
        assert LAST_WORD[api] not in data
        # Envoy breaks off where the provider's connection is lost: nobody can add an event then.
        assert is_broken_off or b'"error"' in data
    assert sorted(name for name, _ in bad.asked) == sorted(name for name, _ in cells)
    assert seen["openai"] == []


async def test_what_a_client_asks_of_its_own_api_comes_there_after_others(running, bad, seen):
    path, call = PATHS["messages"]
    headers = {HEADER: "unavailable-anthropic", "anthropic-beta": "a-feature"}

    answer = await running[0].stack.http.post(path, json={**call, "model": "m"}, headers=headers)

    assert answer.status_code == 200
    assert [sent.get("anthropic-beta") for _, sent in bad.asked] == [None, None]
    [request] = seen["anthropic"]
    assert request.headers["anthropic-beta"] == "a-feature"
