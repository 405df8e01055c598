"""The edges of HTTP: early and interim answers, HEAD, many large bodies at once, bombs, limits."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import random
from dataclasses import replace

import pytest
import pytest_asyncio

from pipeline.api import HeaderEdits, Plugin, Rewrite
from tests.support.raw_http import read_message
from tests.support.stack import eventually, running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

DECOMPRESSOR = "type.googleapis.com/envoy.extensions.filters.http.decompressor.v3.Decompressor"
GZIP = "type.googleapis.com/envoy.extensions.compression.gzip.decompressor.v3.Gzip"


class Edit(Plugin):
    """Changes the call and the answer, and says in a header what came."""

    def on_request(self, exchange):
        return Rewrite(call=exchange.call.replace(set_params={"added": 1}))

    def on_response_headers(self, exchange):
        return Rewrite(headers=HeaderEdits(set={"x-seen": str(exchange.response.status)}))

    def on_response(self, exchange):
        answer = exchange.response.answer
        said = replace(answer.segments[0], text="edited")
        return Rewrite(answer=answer.replace(segments=[said]))


class Look(Plugin):
    """Reads everything and changes nothing."""

    def on_request(self, exchange):
        return None

    def on_response(self, exchange):
        return None


CONFIG = {
    "plugins": {name.lower(): {"uses": f"{__name__}:{name}"} for name in ("Edit", "Look")},
    "envoy": {"slack": "60s", "body_limit": "4MiB"},
    "routes": [
        {
            "name": name,
            "match": {"path_prefix": f"/{name}/"},
            "plugins": plugins,
            "backends": ["raw"],
            "other": "pass",
            "check": name != "unread",
        }
        for name, plugins in (
            ("unread", []),
            ("look", ["look"]),
            ("edit", ["edit"]),
            ("streamed", ["look"]),
            ("duplex", ["look"]),
        )
    ],
}


def configure(made):
    """A decompressor before our filter, and two routes as another might configure them."""
    manager = made["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    manager = manager["typed_config"]
    library = {"name": "gzip", "typed_config": {"@type": GZIP}}
    manager["http_filters"].insert(
        0,
        {
            "name": "decompressor",
            "typed_config": {"@type": DECOMPRESSOR, "decompressor_library": library},
        },
    )
    for route in manager["route_config"]["virtual_hosts"][0]["routes"]:
        mode = {"streamed": "STREAMED", "duplex": "FULL_DUPLEX_STREAMED"}.get(route.get("name"))
        if mode:
            override = route["typed_per_filter_config"]["dragoman"]["overrides"]
            override["processing_mode"] = {
                "request_header_mode": "SEND",
                "request_body_mode": mode,
                "request_trailer_mode": "SEND",
                "response_header_mode": "SEND",
                "response_body_mode": mode,
                "response_trailer_mode": "SEND",
            }


class Upstream:
    """Answers as the request's `x-do` says, sometimes before it has read the body."""

    def __init__(self):
        self.bodies = []

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                do = _field(head, b"x-do")
                if do == b"early":
                    writer.write(_answer(b"429 Too Many Requests", b'{"early":true}'))
                    await writer.drain()
                    await reader.read()  # whatever still comes, until Envoy hangs up
                    return
                message = await read_message(_Joined(head, reader))
                self.bodies.append(message.body)
                if do == b"interim":
                    writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
                if do == b"head":
                    writer.write(
                        b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n"
                        b"content-type: application/json\r\n\r\n"
                    )
                else:
                    digest = hashlib.sha256(message.body).hexdigest()
                    said = {"role": "assistant", "content": "whole"}
                    choices = [{"index": 0, "message": said}]
                    body = {"id": "1", "choices": choices, "sha": digest}
                    share = {b"large": 0.5, b"larger": 5.0}.get(do, 0.0)
                    body["pad"] = "é" * int(len(message.body) * share)
                    writer.write(_answer(b"200 OK", json.dumps(body, ensure_ascii=False).encode()))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


class _Joined:
    """A reader that gives a head back before what follows it."""

    def __init__(self, head, reader):
        self._head = head
        self._reader = reader

    async def readuntil(self, separator):
        if not self._head:
            return await self._reader.readuntil(separator)
        line, _, self._head = self._head.partition(separator)
        return line + separator

    async def readexactly(self, size):
        return await self._reader.readexactly(size)


def _field(head, name):
    found = [line for line in head.split(b"\r\n") if line.lower().startswith(name + b":")]
    return found[0].partition(b":")[2].strip() if found else b""


def _answer(status, body):
    return b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        status,
        len(body),
        body,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(envoy):
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, limit=2**23)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    backend = {"provider": "openai", "url": url, "api_key": "k"}
    try:
        config = {**CONFIG, "backends": {"raw": backend}}
        async with running_stack(config, patch=configure, binary=envoy) as stack:
            yield stack, upstream
    finally:
        server.close()


@pytest.fixture
def stack(running):
    running[1].bodies.clear()
    return running[0]


@pytest.fixture
def bodies(running):
    return running[1].bodies


def call_of(size=0):
    call = {"model": "m", "messages": [{"role": "user", "content": "x" * size}]}
    return json.dumps(call).encode()


class Raw:
    """A client that sends what it likes, when it likes."""

    def __init__(self, stack):
        self._host = stack.url.removeprefix("http://")

    async def __aenter__(self):
        name, _, port = self._host.partition(":")
        self.reader, self.writer = await asyncio.open_connection(name, int(port))
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    def head(self, route, **headers):
        lines = {"host": self._host, "content-type": "application/json", **headers}
        fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
        start = f"POST /{route}/v1/chat/completions HTTP/1.1\r\n"
        self.writer.write(f"{start}{fields}\r\n".encode())

    async def answer(self):
        return await asyncio.wait_for(read_message(self.reader), 10)


@pytest.mark.parametrize("route", ["unread", "streamed"])
async def test_an_answer_before_the_call_has_ended(stack, route):
    """In these modes headers go out before the body has come; so an answer may, too."""
    before = await stack.metrics()
    async with Raw(stack) as client:
        client.head(route, x_do="early", transfer_encoding="chunked")
        client.writer.write(b"9\r\n" + call_of()[:9] + b"\r\n")
        answer = await client.answer()

    assert answer.start == "HTTP/1.1 429 Too Many Requests"
    assert json.loads(answer.body) == {"early": True}

    async def are_over():
        return "dragoman_streams_active 0.0" in await stack.metrics()

    await eventually(are_over, within_s=5)
    assert violations(await stack.metrics()) == violations(before)


async def test_an_answer_while_the_call_keeps_coming(stack):
    async with Raw(stack) as client:
        client.head("streamed", x_do="early", transfer_encoding="chunked")
        reading = asyncio.ensure_future(client.answer())
        while not reading.done():
            client.writer.write(b"4\r\n    \r\n")
            await asyncio.sleep(0.001)

    assert (await reading).start == "HTTP/1.1 429 Too Many Requests"


def violations(metrics):
    return [line for line in metrics.splitlines() if "violation" in line and line[0] != "#"]


@pytest.mark.parametrize("route", ["unread", "edit", "streamed", "duplex"])
async def test_a_client_that_waits_to_be_told_to_continue(stack, bodies, route):
    async with Raw(stack) as client:
        client.head(route, expect="100-continue", content_length=len(call_of()))
        interim = await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 5)
        client.writer.write(call_of())
        answer = await client.answer()

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.start == "HTTP/1.1 200 OK"
    assert json.loads(bodies[0])["model"] == "m"


@pytest.mark.parametrize("route", ["unread", "edit", "streamed", "duplex"])
async def test_an_interim_answer_is_not_the_answer(stack, route):
    async with Raw(stack) as client:
        client.head(route, x_do="interim", content_length=len(call_of()))
        client.writer.write(call_of())
        answer = await client.answer()
        while answer.start.startswith("HTTP/1.1 103"):
            answer = await client.answer()

    assert answer.start == "HTTP/1.1 200 OK"
    assert json.loads(answer.body)["sha"]
    assert answer.headers.get("x-seen") == ("200" if route == "edit" else None)


@pytest.mark.parametrize("route", ["unread", "edit", "streamed", "duplex"])
async def test_an_answer_to_head_has_a_length_and_no_body(stack, route):
    answer = await stack.http.head(f"/{route}/v1/files", headers={"x-do": "head"})

    assert answer.status_code == 200
    # Envoy takes the length off where a body may be changed in pieces, even if there is none.
    length = None if route in {"streamed", "duplex"} else "1234"
    assert answer.headers.get("content-length") == length


@pytest.mark.parametrize("route", ["edit", "duplex"])
async def test_thirty_large_bodies_at_once_keep_every_byte(stack, bodies, route):
    size = 2 * 10**6

    async def one(number):
        sent = call_of(size + number)
        answer = await stack.http.post(
            f"/{route}/v1/chat/completions", content=sent, headers={"x-do": "large"}, timeout=100
        )
        assert answer.status_code == 200, answer.text[:300]
        told = answer.json()
        assert told["sha"] in {hashlib.sha256(body).hexdigest() for body in bodies}
        if route != "edit":
            assert told["sha"] == hashlib.sha256(sent).hexdigest()
        said = told["choices"][0]["message"]["content"]
        assert said == ("edited" if route == "edit" else "whole")
        assert set(told["pad"]) == {"é"}
        assert len(told["pad"]) >= size // 2

    async with asyncio.TaskGroup() as group:
        for number in range(30):
            group.create_task(one(number))

    assert len(bodies) == 30
    assert all(len(body) >= size for body in bodies)

    async def is_nothing_held():
        return "dragoman_held_bytes 0.0" in await stack.metrics()

    await eventually(is_nothing_held, within_s=5)


@pytest.mark.parametrize("route", ["look", "edit", "streamed", "duplex"])
@pytest.mark.parametrize("size", [0, 300_000])
async def test_a_decompressor_before_us_leaves_a_body_without_an_end(stack, bodies, route, size):
    text = random.Random(0).randbytes(size // 2).hex()  # its ratio has a limit
    call = {"model": "m", "messages": [{"role": "user", "content": text}]}
    packed = gzip.compress(json.dumps(call).encode())
    answer = await stack.http.post(
        f"/{route}/v1/chat/completions", content=packed, headers={"content-encoding": "gzip"}
    )

    if route == "streamed":
        # It counts bytes in trailers, after which pieces cannot be answered any more.
        assert answer.json()["error"]["code"] == "trailers_unsupported"
        return
    assert answer.status_code == 200, answer.text
    sent = json.loads(bodies[0])
    assert sent["messages"] == call["messages"]
    assert sent.get("added") == (1 if route == "edit" else None)


async def test_a_bomb_that_the_decompressor_cut_is_no_call(stack, bodies):
    packed = gzip.compress(call_of(3_000_000))
    answer = await stack.http.post(
        "/look/v1/chat/completions", content=packed, headers={"content-encoding": "gzip"}
    )

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"
    assert bodies == []


@pytest.mark.parametrize("path", ["chat/completions", "messages"])
async def test_what_envoy_itself_refuses_is_an_error_of_the_clients_api(stack, bodies, path):
    answer = await stack.http.post(f"/edit/v1/{path}", content=b"x" * (5 * 2**20))

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"
    assert answer.json().get("type") == ("error" if path == "messages" else None)
    assert bodies == []


async def test_an_answer_over_envoys_limit_is_an_error_too(stack):
    answer = await stack.http.post(
        "/edit/v1/chat/completions", content=call_of(1_000_000), headers={"x-do": "larger"}
    )

    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "gateway_error"
