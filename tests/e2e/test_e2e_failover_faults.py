"""Failover over a real Envoy, whatever a backend does: the next answers, or the client knows."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter

import httpx
import pytest
import pytest_asyncio
from aiohttp import web

from tests.support.stack import eventually, running_stack, upstream_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

FAULTS = ("unavailable", "limited", "refused", "hung", "reset")
ORDER = [*FAULTS, "good"]
BACKENDS = {name: [name, "good"] for name in FAULTS}
ROUTES = {
    **{name: {"backends": backends} for name, backends in BACKENDS.items()},
    "every": {"backends": ORDER},
    "mixed": {"backends": ["flaky-1", "flaky-2", "good"]},
    "died": {"backends": ["died", "good"]},
    "rounds": {"backends": ["bad-1", "bad-2", "bad-3"], "retries": {"attempts": 7}},
    "twice": {"backends": ["bad-1", "bad-2"], "retries": {"attempts_per_priority": 2}},
    "pool": {"backends": [{"bad-1": 1, "bad-2": 1}, "bad-3"]},
    "shared": {"backends": [{"good": 1, "bad-1": 30}]},
    "weights": {"backends": [{"good": 3, "other": 1}]},
    "weights-below": {"backends": ["unavailable", {"good": 3, "other": 1}]},
    "again": {"backends": ["once"], "retries": {"attempts": 3}},
    "never": {"backends": ["once"]},
    "chosen": {"backends": ["missing", "good"], "retries": {"on": [404]}},
    "unchosen": {"backends": ["unavailable", "good"], "retries": {"on": [404]}},
    "quiet": {
        "backends": ["quiet", "good"],
        "idle_timeout": "1s",
        "retries": {"per_try_timeout": None},
    },
    "quiet-later": {"backends": ["quiet", "good"], "idle_timeout": "2s"},
    "ejected": {
        "backends": ["switched", "good"],
        "retries": {"attempts": 2},
        "outlier": {"consecutive_failures": 3, "base_ejection": "2s"},
    },
    "pair": {
        "backends": [{"switched": 1, "other": 1}, "good"],
        "outlier": {"consecutive_failures": 3, "base_ejection": "30s"},
    },
    "renamed": {"backends": ["renamed"]},
}


class Upstream:
    """All backends at once: each does what its name says, and tells who was asked."""

    def __init__(self):
        self.asked = []
        self.hosts = []
        self.is_up = True
        self.counts = Counter()

    async def handle(self, request):
        name = request.path.split("/")[1]
        body = json.loads(await request.read())
        self.asked.append(name)
        self.hosts.append(request.headers["Host"])
        self.counts[name] += 1
        if name.startswith("flaky"):
            name = FAULTS[(self.counts[name] * 7 + len(name)) % len(FAULTS)]
        if name.startswith("bad") or (name == "switched" and not self.is_up):
            name = "unavailable"
        if name == "once":
            name = "limited" if self.counts[name] == 1 else "good"
        return await self.act(name, request, body)

    async def act(self, name, request, body):
        match name:
            case "unavailable":
                return web.json_response({"error": {"message": "no"}}, status=503)
            case "missing":
                return web.json_response({"error": {"message": "no"}}, status=404)
            case "limited":
                return web.json_response(
                    {"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "1"}
                )
            case "hung" | "refused":
                await asyncio.Event().wait()
            case "reset":
                request.transport.abort()
                return web.Response()
            case "died" | "quiet":
                return await self.begin(name, request)
        if body.get("stream"):
            return await self.stream(request, body)
        return web.json_response(answer(text_of(body)))

    async def stream(self, request, body):
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for word in text_of(body).split():
            await response.write(event(word))
        await response.write(b"data: [DONE]\n\n")
        return response

    async def begin(self, name, request):
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(event("half"))
        if name == "quiet":
            await asyncio.Event().wait()
        # An orderly end of the connection, not of the stream: what was written still arrives.
        request.transport.close()
        return response


def text_of(body):
    return body["messages"][-1]["content"]


def answer(text):
    choice = {"index": 0, "finish_reason": "stop"}
    message = {"role": "assistant", "content": text}
    head = {"id": "x", "object": "chat.completion", "created": 1, "model": "m"}
    return {**head, "choices": [{**choice, "message": message}]}


def event(word):
    choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"


def call(text="one two", **fields):
    return {"model": "m", "messages": [{"role": "user", "content": text}], **fields}


def _unused_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(envoy):
    upstream = Upstream()
    names = {
        name
        for route in ROUTES.values()
        for entry in route["backends"]
        for name in ([entry] if isinstance(entry, str) else entry)
    }
    async with upstream_of(upstream.handle) as url:
        base = url.removesuffix("/v1")
        backends = {
            name: {"provider": "openai", "url": f"{base}/{name}/v1", "api_key": name}
            for name in names
        }
        backends["refused"]["url"] = f"http://127.0.0.1:{_unused_port()}/v1"
        backends["renamed"]["host"] = "llm.example.org:8443"
        routes = [
            {
                "name": name,
                "match": {"path_prefix": f"/{name}/"},
                "timeout": "20s",
                **settings,
                "retries": {"per_try_timeout": "1s", **settings.get("retries", {})},
            }
            for name, settings in ROUTES.items()
        ]
        config = {"routes": routes, "backends": backends}
        async with running_stack(config, binary=envoy, upstreams={}) as stack:
            yield stack, upstream


@pytest.fixture
def upstream(running):
    made = running[1]
    made.asked.clear()
    made.hosts.clear()
    made.counts.clear()
    made.is_up = True
    return made


@pytest.fixture
def ask(running):
    async def send(route, text="one two", **fields):
        path = f"/{route}/v1/chat/completions"
        return await running[0].http.post(path, json=call(text, **fields))

    return send


def said(response):
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
async def test_whatever_the_first_backend_does_the_next_one_answers(ask, upstream, fault, stream):
    response = await ask(fault, stream=stream)

    if stream:
        assert response.text == (event("one") + event("two")).decode() + "data: [DONE]\n\n"
    else:
        assert said(response) == "one two"
    assert upstream.asked == [name for name in (fault, "good") if name != "refused"]


async def test_six_priorities_are_tried_in_their_order(ask, upstream):
    assert said(await ask("every")) == "one two"
    assert upstream.asked == [name for name in ORDER if name != "refused"]


async def test_many_at_once_each_get_the_answer_to_their_own_question(ask, upstream):
    texts = [f"question {number}" for number in range(60)]

    answers = await asyncio.gather(*(ask("mixed", text) for text in texts))

    assert [said(one) for one in answers] == texts
    assert set(upstream.asked) >= {"flaky-1", "flaky-2", "good"}


@pytest.mark.parametrize("route", ["died", "quiet", "quiet-later"])
async def test_a_stream_that_dies_in_the_middle_never_looks_complete(ask, upstream, route):
    began = time.monotonic()
    try:
        response = await ask(route, stream=True)
    except httpx.TransportError:
        pass
    else:
        assert '"error"' in response.text.rpartition('"half"')[2]
        assert "[DONE]" not in response.text
    # What was said cannot be taken back: nobody else may go on.
    assert upstream.asked == [route.removesuffix("-later")]
    assert time.monotonic() - began < 10.0


@pytest.mark.parametrize(
    ("route", "order"),
    [
        ("rounds", ["bad-1", "bad-2", "bad-3"] * 2 + ["bad-1"]),
        ("twice", ["bad-1", "bad-1", "bad-2", "bad-2"]),
    ],
)
async def test_attempts_go_round_the_priorities(ask, upstream, route, order):
    assert (await ask(route)).status_code == 503
    assert upstream.asked == order


async def test_after_the_priorities_below_the_rest_of_the_first_is_tried(ask, upstream):
    await ask("pool")

    first, second, third = upstream.asked
    assert {first, third} == {"bad-1", "bad-2"}
    assert second == "bad-3"


async def test_within_a_priority_the_next_attempt_finds_who_was_not_tried(ask):
    for _ in range(10):
        assert said(await ask("shared")) == "one two"


@pytest.mark.parametrize("route", ["weights", "weights-below"])
async def test_backends_of_one_priority_share_it_by_weight(ask, upstream, route):
    for _ in range(80):
        said(await ask(route))

    shares = Counter(upstream.asked)
    assert 50 <= shares["good"] <= 70
    assert shares["good"] + shares["other"] == 80


async def test_a_single_backend_is_asked_again_when_it_said_so(ask, upstream):
    began = time.monotonic()

    assert said(await ask("again")) == "one two"
    assert time.monotonic() - began >= 1.0
    assert upstream.asked == ["once", "once"]


async def test_without_retries_a_single_backend_is_asked_once(ask, upstream):
    response = await ask("never")

    assert response.status_code == 429
    assert response.headers["retry-after"] == "1"
    assert upstream.asked == ["once"]


async def test_another_backend_is_not_kept_waiting_by_the_first_ones_retry_after(ask, upstream):
    began = time.monotonic()
    for _ in range(5):
        said(await ask("limited"))

    assert time.monotonic() - began < 5.0


async def test_the_config_says_what_counts_as_a_failure(ask, upstream):
    assert said(await ask("chosen")) == "one two"
    assert (await ask("unchosen")).status_code == 503
    assert upstream.asked == ["missing", "good", "unavailable"]


async def test_a_backend_that_keeps_failing_is_left_out_and_comes_back(ask, upstream):
    upstream.is_up = False
    for _ in range(4):
        said(await ask("ejected"))
    assert upstream.counts["switched"] == 3

    upstream.is_up = True
    upstream.asked.clear()

    async def is_back():
        said(await ask("ejected"))
        return upstream.asked[-1] == "switched"

    await eventually(is_back, within_s=15.0)
    assert upstream.asked[0] == "good"


async def test_who_is_left_of_a_priority_takes_all_of_it(ask, upstream):
    upstream.is_up = False
    for _ in range(30):
        said(await ask("pair"))
        if upstream.counts["switched"] == 3:
            break
    upstream.asked.clear()

    for _ in range(20):
        said(await ask("pair"))
    assert set(upstream.asked) == {"other"}


async def test_a_backend_is_sent_the_host_header_that_it_wants(ask, upstream):
    said(await ask("renamed"))

    assert upstream.hosts == ["llm.example.org:8443"]
