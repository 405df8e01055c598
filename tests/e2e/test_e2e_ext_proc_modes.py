"""Every body mode that Envoy may be configured with: the same chain, the same result."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
import pytest_asyncio

from pipeline.api import Plugin, Rewrite
from tests.support.raw_http import Message, chunked, raw_upstream, send
from tests.support.stack import running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

MODES = ("BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED", "BUFFERED_PARTIAL")
ROUTES = [(request, response) for request in MODES for response in MODES]


class Tag(Plugin):
    """Adds a letter to the prompt, and one to the answer."""

    def on_request(self, exchange):
        return Rewrite(call=_say(exchange.call, "?"))

    def on_response(self, exchange):
        return Rewrite(answer=_say(exchange.response.answer, "!"))

    def on_response_event(self, exchange, event):
        return Rewrite(events=[_say(event, "!")]) if event.text else None


def _say(source, text):
    *rest, last = source.segments
    return source.replace(segments=[*rest, replace(last, text=last.text + text)])


def _name(request, response):
    return f"{request}-{response}".lower()


CONFIG = {
    "plugins": {"tag": {"uses": f"{__name__}:Tag"}},
    "envoy": {"slack": "2s"},
    "routes": [
        {
            "name": _name(*modes),
            "match": {"path_prefix": f"/{_name(*modes)}/"},
            "dialect": "openai.chat",
            "plugins": ["tag"],
            "backends": ["raw"],
        }
        for modes in ROUTES
    ],
}


def configure(made):
    """Let Envoy have the modes that each route is named for, and pass trailers on."""
    manager = made["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    manager["typed_config"]["http_protocol_options"] = {"enable_trailers": True}
    by_name = {_name(*modes): modes for modes in ROUTES}
    for route in manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]:
        modes = by_name.get(route.get("name", ""))
        if modes is not None:
            override = route["typed_per_filter_config"]["dragoman"]["overrides"]
            override["processing_mode"] = {
                "request_header_mode": "SEND",
                "request_body_mode": modes[0],
                "request_trailer_mode": "SEND",
                "response_header_mode": "SEND",
                "response_body_mode": modes[1],
                "response_trailer_mode": "SEND",
            }
    for cluster in made["static_resources"]["clusters"][1:]:
        for options in cluster["typed_extension_protocol_options"].values():
            options["explicit_http_config"]["http_protocol_options"]["enable_trailers"] = True


class Upstream:
    """Says what it was asked, whole or as a stream, with trailers when it got some."""

    def __init__(self):
        self.got: Message | None = None

    def answer(self, message):
        self.got = message
        call = json.loads(message.body)
        said = call["messages"][0]["content"]
        if call.get("stream"):
            pieces = [_event({"content": word}) for word in said.split()]
            pieces += [_event({}, "stop"), b"data: [DONE]\n\n"]
            kind = b"text/event-stream"
        else:
            choice = {"index": 0, "message": {"role": "assistant", "content": said}}
            text = json.dumps({"id": "1", "choices": [choice], "pad": call.get("pad", "")})
            pieces = [
                text[start : start + 50_000].encode() for start in range(0, len(text), 50_000)
            ]
            kind = b"application/json"
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n" % kind
        trailers = {"x-after": "2"} if message.headers.get("x-want") == "trailers" else {}
        return head + chunked(pieces, trailers)


def _event(delta, finish=None):
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"id": "1", "choices": choices}).encode() + b"\n\n"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(envoy):
    upstream = Upstream()
    async with raw_upstream(upstream.answer) as port:
        backend = {"provider": "openai", "url": f"http://127.0.0.1:{port}/v1", "api_key": "k"}
        config = {**CONFIG, "backends": {"raw": backend}}
        async with running_stack(config, patch=configure, binary=envoy) as stack:
            yield stack, upstream


def body_of(**fields):
    call = {"model": "m", "messages": [{"role": "user", "content": "one two"}], **fields}
    return json.dumps(call, ensure_ascii=False).encode()


async def post(stack, modes, body, trailers=(), headers=()):
    host = stack.url.removeprefix("http://")
    path = f"/{_name(*modes)}/v1/chat/completions"
    pieces = [body[:30], body[30:31], body[31:]]
    async with asyncio.timeout(10):
        return await send(host, path, pieces, dict(trailers), dict(headers))


def said(message):
    assert message.start == "HTTP/1.1 200 OK", message
    if message.headers["content-type"] == "application/json":
        return json.loads(message.body)["choices"][0]["message"]["content"]
    lines = [line[6:] for line in message.body.splitlines() if line.startswith(b"data: {")]
    deltas = [json.loads(line)["choices"][0]["delta"].get("content", "") for line in lines]
    assert message.body.endswith(b"data: [DONE]\n\n")
    return " ".join(delta for delta in deltas if delta)


@pytest.mark.parametrize("modes", ROUTES, ids=lambda modes: _name(*modes))
async def test_the_chain_runs_in_every_mode(running, modes):
    stack, upstream = running
    answer = await post(stack, modes, body_of())
    assert said(answer) == "one two?!"
    assert json.loads(upstream.got.body)["messages"][0]["content"] == "one two?"

    assert said(await post(stack, modes, body_of(stream=True))) == "one! two?!"


@pytest.mark.parametrize("modes", ROUTES, ids=lambda modes: _name(*modes))
async def test_large_bodies_pass_in_every_mode(running, modes):
    # Smaller than Envoy's buffers: beyond those a partly buffered body is not whole.
    stack, upstream = running
    answer = await post(stack, modes, body_of(pad="é" * 400_000))

    assert said(answer) == "one two?!"
    assert json.loads(answer.body)["pad"] == "é" * 400_000
    assert json.loads(upstream.got.body)["pad"] == "é" * 400_000


@pytest.mark.parametrize("modes", ROUTES, ids=lambda modes: _name(*modes))
async def test_trailers_of_a_request(running, modes):
    stack, upstream = running
    answer = await post(stack, modes, body_of(), trailers={"x-after": "1"})

    if modes[0] == "STREAMED":
        # Its pieces are answered one by one: the last has gone when the trailers come.
        assert answer.start.startswith("HTTP/1.1 502")
        assert json.loads(answer.body)["error"]["code"] == "trailers_unsupported"
    else:
        assert said(answer) == "one two?!"
        assert upstream.got.trailers == {"x-after": "1"}


@pytest.mark.parametrize("modes", ROUTES, ids=lambda modes: _name(*modes))
async def test_trailers_of_an_answer(running, modes):
    stack, _ = running
    want = {"x-want": "trailers"}

    streamed = await post(stack, modes, body_of(stream=True), headers=want)
    assert said(streamed) == "one! two?!"
    assert streamed.trailers == {"x-after": "2"}

    if modes[1] == "STREAMED":
        # As above; nothing has gone to the client yet.
        answer = await post(stack, modes, body_of(), headers=want)
        assert answer.start.startswith("HTTP/1.1 502")
        assert json.loads(answer.body)["error"]["code"] == "trailers_unsupported"
    else:
        answer = await post(stack, modes, body_of(), headers=want)
        assert said(answer) == "one two?!"
        assert answer.trailers == {"x-after": "2"}
