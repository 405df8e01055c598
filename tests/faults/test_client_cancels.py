"""A client hangs up, in every phase: its exchange ends once, as cancelled, and nothing is left."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
import pytest_asyncio
import structlog
from aiohttp import web

from pipeline.api import Plugin
from tests.support.chain import chat_answer, chat_stream, uses_of
from tests.support.faulty import faulty_stack, host_tasks, no_more_tasks_than, nothing_in_flight
from tests.support.stack import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

ENDS = []
EACH = 8
# What has been reached; a client hangs up when its phase is.
REACHED = asyncio.Queue()


class Holds(Plugin):
    """Holds what the call asks it to hold, and notes how exchanges end."""

    async def on_request(self, exchange):
        await self._hold(exchange, "request")

    async def on_response_headers(self, exchange):
        await self._hold(exchange, "headers")

    async def on_response(self, exchange):
        await self._hold(exchange, "answer")

    async def on_response_event(self, exchange, event):
        await self._hold(exchange, "event")

    def on_complete(self, exchange, outcome):
        ENDS.append((exchange.request.headers.get("x-phase"), outcome.ending))

    async def _hold(self, exchange, what):
        if exchange.request.headers.get("x-phase") == f"plugin-{what}":
            REACHED.put_nowait(what)
            await asyncio.Event().wait()


CONFIG = {
    "plugins": {"holds": {"uses": uses_of(Holds), "timeout": "20s", "on_error": "closed"}},
    "routes": [
        {
            "name": "guard",
            "match": {"path_prefix": "/guard/"},
            "plugins": ["holds"],
            "backends": ["demo"],
        },
    ],
}


async def handler(request):
    """An upstream that goes as far as the phase says, and waits."""
    phase = request.headers.get("x-phase", "")
    body = await request.json()
    if phase == "upstream-headers":
        REACHED.put_nowait(phase)
        await asyncio.Event().wait()
    streamed = body.get("stream")
    raw = (
        chat_stream("one ", "two ", "three") if streamed else json.dumps(chat_answer("x")).encode()
    )
    kind = "text/event-stream" if streamed else "application/json"
    answer = web.StreamResponse(headers={"content-type": kind})
    await answer.prepare(request)
    stops = {"upstream-body": 0, "upstream-middle": 20, "stream": len(raw) // 2}.get(phase)
    await answer.write(raw[:stops] if stops else b"" if stops == 0 else raw)
    if stops is not None:
        REACHED.put_nowait(phase)
        await asyncio.Event().wait()
    await answer.write_eof()
    return answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def faulty(tmp_path_factory):
    async with faulty_stack(tmp_path_factory.mktemp("cancels"), CONFIG, handler) as made:
        yield made


class Client:
    """A connection that says what it likes."""

    def __init__(self, reader, writer, phase, *, stream=False):
        self.reader, self.writer = reader, writer
        document = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": stream}
        self.body = json.dumps(document).encode()
        self.head = (
            f"POST /guard/v1/chat/completions HTTP/1.1\r\nhost: h\r\nx-phase: {phase}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(self.body)}\r\n\r\n"
        ).encode()

    @classmethod
    async def open(cls, stack, phase, **how):
        host, _, port = stack.url.removeprefix("http://").partition(":")
        return cls(*await asyncio.open_connection(host, int(port)), phase, **how)

    def hang_up(self):
        self.writer.transport.abort()


@pytest_asyncio.fixture(loop_scope="module")
async def quiet(caplog, faulty):
    """No error is logged, neither by us nor by gRPC or asyncio."""
    await nothing_in_flight(faulty.stack)
    while not REACHED.empty():
        REACHED.get_nowait()
    ENDS.clear()
    with caplog.at_level(logging.WARNING), structlog.testing.capture_logs() as events:
        yield
    assert [record.getMessage() for record in caplog.records] == []
    assert [one for one in events if one["log_level"] in {"error", "warning"}] == []


async def ended(stack):
    await nothing_in_flight(stack, within_s=30)
    return list(ENDS)


async def test_in_the_headers_of_the_request_no_exchange_has_begun(faulty, quiet):
    client = await Client.open(faulty.stack, "headers")
    client.writer.write(client.head[:-20])
    await client.writer.drain()
    client.hang_up()

    # The next exchange is served, and it is the only one that was ever seen.
    assert (await whole(faulty)).startswith(b"HTTP/1.1 200 OK")
    assert await ended(faulty.stack) == [("none", "completed")]


async def test_in_the_body_of_the_request(faulty, quiet):
    client = await Client.open(faulty.stack, "upload")
    client.writer.write(client.head + client.body[:10])
    await client.writer.drain()
    await eventually(lambda: is_open(faulty.stack), within_s=30)
    client.hang_up()

    assert await ended(faulty.stack) == [("upload", "cancelled")]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    "phase",
    ["plugin-request", "upstream-headers", "plugin-headers", "upstream-body", "upstream-middle"],
)
async def test_once_the_request_is_sent(faulty, quiet, phase, stream):
    await hung_up_in(faulty, phase, stream=stream)

    assert await ended(faulty.stack) == [(phase, "cancelled")]


async def test_while_a_plugin_holds_the_whole_answer(faulty, quiet):
    await hung_up_in(faulty, "plugin-answer")

    assert await ended(faulty.stack) == [("plugin-answer", "cancelled")]


async def test_while_a_plugin_holds_an_event(faulty, quiet):
    await hung_up_in(faulty, "plugin-event", stream=True)

    assert await ended(faulty.stack) == [("plugin-event", "cancelled")]


async def test_in_the_middle_of_an_event_stream_that_it_has_begun_to_read(faulty, quiet):
    client = await Client.open(faulty.stack, "stream", stream=True)
    client.writer.write(client.head + client.body)
    async with asyncio.timeout(30):
        assert b"one " in await client.reader.readuntil(b"one ")
    client.hang_up()

    assert await ended(faulty.stack) == [("stream", "cancelled")]


async def test_many_at_once_in_any_phase_leave_nothing(faulty, quiet):
    phases = ["plugin-request", "upstream-headers", "plugin-headers", "upstream-body", "stream"]
    tasks = host_tasks()
    clients = [await asking(faulty, phase, stream=True) for phase in phases for _ in range(EACH)]
    async with asyncio.timeout(30):
        for _ in clients:
            await REACHED.get()
    for client in clients:
        client.hang_up()

    ends = await ended(faulty.stack)
    assert sorted(ends) == sorted((phase, "cancelled") for phase in phases for _ in range(EACH))
    await no_more_tasks_than(tasks)
    assert (await whole(faulty)).startswith(b"HTTP/1.1 200 OK")


async def asking(faulty, phase, *, stream=False):
    client = await Client.open(faulty.stack, phase, stream=stream)
    client.writer.write(client.head + client.body)
    return client


async def hung_up_in(faulty, phase, *, stream=False):
    """Ask, and hang up as soon as the phase is reached."""
    client = await asking(faulty, phase, stream=stream)
    async with asyncio.timeout(30):
        await REACHED.get()
    client.hang_up()


async def whole(faulty):
    client = await Client.open(faulty.stack, "none")
    client.writer.write(client.head + client.body)
    async with asyncio.timeout(30):
        answer = await client.reader.readuntil(b"\r\n\r\n")
    client.writer.close()
    return answer


async def is_open(stack):
    return "dragoman_streams_active 1" in await stack.metrics()
