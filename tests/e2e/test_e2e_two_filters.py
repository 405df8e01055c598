"""Another ext_proc filter in our filter chain, before ours and after it: what holds."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace

import pytest
import pytest_asyncio
from aiohttp import web

from pipeline.api import Plugin, Rewrite
from pipeline.wire import ext_proc_pb2 as pb
from tests.support.foreign import cluster_at, foreign_processor, going_on, set_header
from tests.support.stack import running_stack, upstream_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

MODES = ("NONE", "BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED")
EXT_PROC = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor"
PAUSE_S = 0.002
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PER_ROUTE = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute"


class Tag(Plugin):
    """Adds a letter to the prompt, and one to the answer."""

    def on_request(self, exchange):
        return Rewrite(call=_say(exchange.call, "?"))

    def on_response(self, exchange):
        return Rewrite(answer=_say(exchange.response.answer, "!"))

    def on_response_event(self, exchange, event):
        return Rewrite(events=[_say(event, "!")]) if event.text else None


class Reading(Plugin):
    """Reads both and changes nothing."""

    def on_request(self, exchange):
        return None

    def on_response(self, exchange):
        return None

    def on_response_event(self, exchange, event):
        return None


def _say(source, text):
    *rest, last = source.segments
    return source.replace(segments=[*rest, replace(last, text=last.text + text)])


class Headers(Plugin):
    """Takes its time over headers, and wants nothing else."""

    async def on_request_headers(self, exchange):
        await asyncio.sleep(0.03)

    async def on_response_headers(self, exchange):
        await asyncio.sleep(0.03)


class Thinking(Headers, Reading):
    """Takes its time over headers, and reads both bodies."""


async def marking(requests, context):
    """Put a mark in the headers, and white space behind the body, both ways."""
    modes = None
    async for request in requests:
        kind = request.WhichOneof("request")
        if modes is None:
            modes = request.protocol_config
        answer = going_on(request)
        if kind.endswith("headers"):
            common = getattr(answer, kind).response
            set_header(common.header_mutation, "x-marked", b"yes")
            common.header_mutation.remove_headers.append("content-length")
        elif kind.endswith("body"):
            got = getattr(request, kind)
            await asyncio.sleep(PAUSE_S)
            mode = modes.request_body_mode if kind[:3] == "req" else modes.response_body_mode
            new = got.body + (b"\n" if got.end_of_stream else b"")
            mutation = getattr(answer, kind).response.body_mutation
            if mode == pb.ProcessingMode.FULL_DUPLEX_STREAMED:
                starts = range(0, max(len(new), 1), 60_000)
                for start in starts:
                    piece = pb.ProcessingResponse()
                    streamed = getattr(piece, kind).response.body_mutation.streamed_response
                    streamed.body = new[start : start + 60_000]
                    streamed.end_of_stream = got.end_of_stream and start == starts[-1]
                    await context.write(piece)
                continue
            if new:
                mutation.body = new
        await context.write(answer)


CONFIG = {
    "plugins": {
        name.lower(): {"uses": f"{__name__}:{name}"}
        for name in ("Tag", "Reading", "Headers", "Thinking")
    },
    "envoy": {"slack": "5s"},
    "routes": [
        {
            "name": f"{plugin}-{mode.lower()}",
            "match": {"path_prefix": f"/{plugin}/{mode}/"},
            "dialect": "openai.chat",
            "plugins": [plugin],
            "backends": ["echo"],
            "check": plugin != "headers",
        }
        for plugin in ("tag", "reading", "headers", "thinking")
        for mode in MODES
    ],
}


def beside(port, place):
    """Return a patch that adds the other filter before ours or after it."""

    def patch(made):
        resources = made["static_resources"]
        resources["clusters"].append(cluster_at("other", port))
        manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        other = {
            "@type": EXT_PROC,
            "grpc_service": {"envoy_grpc": {"cluster_name": "other"}},
            "message_timeout": "5s",
            "processing_mode": _modes("NONE"),
        }
        at = 0 if place == "before" else 1
        manager["http_filters"].insert(at, {"name": "other", "typed_config": other})
        for route in manager["route_config"]["virtual_hosts"][0]["routes"]:
            mode = route.get("name", "").partition("-")[2].upper()
            if mode:
                overrides = {"processing_mode": _modes(mode)}
                route["typed_per_filter_config"]["other"] = {
                    "@type": PER_ROUTE,
                    "overrides": overrides,
                }

    return patch


def _modes(mode):
    trailers = "SEND" if mode == "FULL_DUPLEX_STREAMED" else "SKIP"
    return {
        "request_header_mode": "SEND",
        "request_body_mode": mode,
        "request_trailer_mode": trailers,
        "response_header_mode": "SEND",
        "response_body_mode": mode,
        "response_trailer_mode": trailers,
    }


async def echo(request):
    body = await request.read()
    call = json.loads(body)
    headers = {
        "x-sha": hashlib.sha256(body).hexdigest(),
        "x-got-mark": request.headers.get("x-marked", ""),
    }
    said = call["messages"][0]["content"]
    if call.get("stream"):
        answer = web.StreamResponse(headers={**headers, "content-type": "text/event-stream"})
        await answer.prepare(request)
        for piece in said[:1], said[1:]:
            choice = {"index": 0, "delta": {"content": piece}, "finish_reason": None}
            await answer.write(b"data: %s\n\n" % json.dumps({"choices": [choice]}).encode())
        await answer.write(b"data: [DONE]\n\n")
        return answer
    choice = {"index": 0, "message": {"role": "assistant", "content": said}}
    return web.json_response({"id": "1", "choices": [choice]}, headers=headers)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["before", "after"])
async def stack(envoy, request):
    async with upstream_of(echo) as url, foreign_processor(marking) as port:
        backend = {"provider": "openai", "url": url, "api_key": "k"}
        config = {**CONFIG, "backends": {"echo": backend}}
        async with running_stack(config, patch=beside(port, request.param), binary=envoy) as made:
            yield made


@pytest.fixture(autouse=True)
def whole(request, envoy_version):
    if request.node.callspec.params["mode"] == "FULL_DUPLEX_STREAMED" and envoy_version < (1, 38):
        pytest.skip("these versions cut such bodies short, now and then")


@pytest.mark.parametrize("size", [100, 1_000_000])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("plugin", ["tag", "reading"])
async def test_whole_bodies_keep_every_byte_and_both_filters_edits(stack, plugin, mode, size):
    text = LETTERS * (size // len(LETTERS))
    call = {"model": "m", "messages": [{"role": "user", "content": text}]}
    body = json.dumps(call).encode()
    answer = await stack.http.post(f"/{plugin}/{mode}/v1/chat/completions", content=body)

    assert answer.status_code == 200, answer.text[:300]
    assert answer.headers["x-got-mark"] == answer.headers["x-marked"] == "yes"
    said = answer.json()["choices"][0]["message"]["content"]
    assert said == text + ("?!" if plugin == "tag" else "")
    if plugin == "reading":
        # What ours does not change, it leaves to the byte, the other's edit included.
        ends = b"" if mode == "NONE" else b"\n"
        assert answer.headers["x-sha"] == hashlib.sha256(body + ends).hexdigest()
        assert answer.content.endswith(b"}" + ends)


@pytest.mark.parametrize("size", [100, 300_000])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("plugin", ["tag", "reading"])
async def test_streams_keep_every_event(stack, plugin, mode, size):
    text = "a" + "b" * size
    call = {"model": "m", "stream": True, "messages": [{"role": "user", "content": text}]}
    for _ in range(3):
        answer = await stack.http.post(f"/{plugin}/{mode}/v1/chat/completions", json=call)
        if answer.content:
            break  # about one stream in a hundred comes without its body: see the page on modes
    assert answer.status_code == 200, answer.text[:300]
    lines = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    deltas = [json.loads(line)["choices"][0]["delta"]["content"] for line in lines]
    assert "".join(deltas) == ("a!" + "b" * size + "?!" if plugin == "tag" else text)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("plugin", ["headers", "thinking"])
async def test_headers_that_wait_while_a_body_passes_the_other(stack, plugin, mode, stream):
    text = LETTERS * 8_000
    call = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": text}]}
    path = f"/{plugin}/{mode}/v1/chat/completions"
    async with asyncio.TaskGroup() as group:
        made = [group.create_task(stack.http.post(path, json=call)) for _ in range(3)]
    for answer in (one.result() for one in made):
        assert answer.status_code == 200, answer.text[:300]
        assert answer.text.count(LETTERS[1:]) == 8_000
