"""HTTP/2 on both sides: trailers both ways, answers of trailers alone, all past the body phases."""

from __future__ import annotations

import asyncio
import json

import pytest
import pytest_asyncio

from tests.e2e.test_e2e_two_filters import Reading, Tag
from tests.support.http2 import h2_upstream, send
from tests.support.raw_http import Message
from tests.support.stack import running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

PLUGINS = {"tag": Tag, "reading": Reading}
CONFIG = {
    "plugins": {
        name: {"uses": f"{made.__module__}:{made.__name__}"} for name, made in PLUGINS.items()
    },
    "routes": [
        {
            "name": name,
            "match": {"path_prefix": f"/{name}/"},
            "plugins": plugins,
            "backends": backends,
            "other": "pass",
        }
        for name, plugins, backends in (
            ("none", [], ["one"]),
            ("reading", ["reading"], ["one"]),
            ("tag", ["tag"], ["one"]),
            # The upstream level too, where a backend renames models in a body of pieces.
            ("renamed", ["tag"], ["one", "two"]),
        )
    ],
}
ROUTES = ("none", "reading", "tag", "renamed")


def over_http2(made):
    for cluster in made["static_resources"]["clusters"][1:]:
        for options in cluster["typed_extension_protocol_options"].values():
            options["explicit_http_config"] = {"http2_protocol_options": {}}


class Upstream:
    """Says what it was asked; with which trailers, the call says."""

    def __init__(self):
        self.got = None

    def answer(self, message):
        self.got = message
        if "grpc" in message.headers.get("content-type", ""):
            fields = {"content-type": "application/grpc", "grpc-status": "12"}
            return Message("200", fields, b"")
        call = json.loads(message.body)
        said = call["messages"][0]["content"]
        trailers = {"x-after": "2"} if "x-want" in message.headers else {}
        if call.get("stream"):
            choice = {"index": 0, "delta": {"content": said}, "finish_reason": None}
            body = b"data: %s\n\ndata: [DONE]\n\n" % json.dumps({"choices": [choice]}).encode()
            return Message("200", {"content-type": "text/event-stream"}, body, trailers)
        choice = {"index": 0, "message": {"role": "assistant", "content": said}}
        body = json.dumps({"id": "1", "choices": [choice]}).encode()
        if message.headers.get("x-want") == "no body":
            body = b""
        return Message("200", {"content-type": "application/json"}, body, trailers)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(envoy):
    upstream = Upstream()
    async with h2_upstream(upstream.answer) as port:
        backend = {"provider": "openai", "url": f"http://127.0.0.1:{port}/v1", "api_key": "k"}
        backends = {"one": {**backend, "models": {"m": "own"}}, "two": backend}
        config = {**CONFIG, "backends": backends}
        async with running_stack(config, patch=over_http2, binary=envoy) as stack:
            yield stack, upstream


async def post(stack, route, body, trailers=(), headers=()):
    host = stack.url.removeprefix("http://")
    fields = {"content-type": "application/json", **dict(headers)}
    pieces = [body[:9], body[9:10], body[10:]]
    async with asyncio.timeout(10):
        return await send(host, f"/{route}/v1/chat/completions", pieces, dict(trailers), fields)


def body_of(**fields):
    call = {"model": "m", "messages": [{"role": "user", "content": "é"}], **fields}
    return json.dumps(call, ensure_ascii=False).encode()


def expected(route):
    return "é" if route in {"none", "reading"} else "é?!"


def said(message):
    assert message.start == "200", message
    if message.headers["content-type"] == "application/json":
        return json.loads(message.body)["choices"][0]["message"]["content"]
    (event,) = [line[6:] for line in message.body.splitlines() if line.startswith(b"data: {")]
    assert message.body.endswith(b"data: [DONE]\n\n")
    return json.loads(event)["choices"][0]["delta"]["content"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("with_trailers", [False, True])
@pytest.mark.parametrize("route", ROUTES)
async def test_a_call_and_its_answer(running, route, with_trailers, stream):
    stack, upstream = running
    trailers = {"x-before": "1"} if with_trailers else {}
    headers = {"x-want": "trailers"} if with_trailers else {}
    answer = await post(stack, route, body_of(stream=stream), trailers, headers)

    assert said(answer) == expected(route)
    assert answer.trailers == ({"x-after": "2"} if with_trailers else {})
    assert upstream.got.trailers == trailers
    sent = json.loads(upstream.got.body)
    assert sent["messages"][0]["content"] == expected(route).removesuffix("!")
    assert sent["model"] == "own"


@pytest.mark.parametrize("route", ROUTES)
async def test_an_answer_of_headers_and_trailers_alone(running, route):
    stack, _ = running
    answer = await post(stack, route, body_of(), headers={"x-want": "no body"})

    assert (answer.start, answer.body, answer.trailers) == ("200", b"", {"x-after": "2"})


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("trailers", [{}, {"x-before": "1"}], ids=["plain", "trailers"])
async def test_an_answer_that_headers_end_as_grpc_has_it(running, route, trailers):
    stack, upstream = running
    host = stack.url.removeprefix("http://")
    path = f"/{route}/v1/some.Service/Method"
    headers = {"content-type": "application/grpc", "te": "trailers"}
    async with asyncio.timeout(10):
        answer = await send(host, path, [b"\0\0\0\0\2hi"], trailers, headers)

    assert (answer.start, answer.headers["grpc-status"], answer.body) == ("200", "12", b"")
    assert upstream.got.body == b"\0\0\0\0\2hi"
    assert upstream.got.trailers == trailers
