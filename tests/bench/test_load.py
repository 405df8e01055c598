"""The load, against a server that stalls once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import orjson
import pytest

from bench.client import Job, request
from bench.load import run
from bench.upstream import Upstream

STALL_S = 0.2


@asynccontextmanager
async def serving(protocol):
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class Stalling(Upstream):
    """Stalls at its first request, and so does everybody behind it."""

    free_at_s = 0.0

    def _answer(self, head):
        loop = asyncio.get_running_loop()
        if not Stalling.free_at_s:
            Stalling.free_at_s = loop.time() + STALL_S
        loop.call_at(Stalling.free_at_s, super()._answer, head)


class Refusing(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")


@pytest.mark.parametrize("body_bytes", [500, 6_000_000])
def test_a_request_has_the_size_that_was_asked_for(body_bytes):
    head, _, body = request(Job(1, 1, 1, body_bytes=body_bytes)).partition(b"\r\n\r\n")

    assert len(body) == body_bytes
    assert f"content-length: {body_bytes}".encode() in head
    assert orjson.loads(body)["model"] == "bench-1"


async def test_an_open_loop_counts_a_stall_for_all_who_had_to_wait():
    Stalling.free_at_s = 0.0
    async with serving(Stalling) as port:
        result = await run(Job(port, 2, 0.4, rate_per_s=100))

    assert (result.requests, result.errors) == (40, 0)
    # About 20 were due while the server stalled; with two connections a closed loop sees two.
    assert result.latency_ms["p90"] > 50
    assert result.late_ms["p90"] > 50


async def test_a_closed_loop_asks_until_its_time_is_over():
    async with serving(Upstream) as port:
        result = await run(Job(port, 4, 0.05))

    assert result.errors == 0
    assert result.requests >= 4
    assert result.events == 0


async def test_a_streamed_answer_counts_its_events_and_the_end():
    async with serving(Upstream) as port:
        result = await run(Job(port, 2, 0.01, events=3, pace_ms=1))

    assert result.errors == 0
    assert result.events == result.requests * 4


async def test_bodies_of_megabytes_go_both_ways():
    async with serving(Upstream) as port:
        result = await run(Job(port, 2, 0.01, body_bytes=6_000_000, answer_bytes=3_000_000))

    assert result.errors == 0
    assert result.requests >= 2


@pytest.mark.parametrize("rate_per_s", [0, 100])
async def test_an_answer_that_is_no_200_is_an_error(rate_per_s):
    async with serving(Refusing) as port:
        result = await run(Job(port, 2, 0.05, rate_per_s=rate_per_s))

    assert result.requests == 0
    assert result.errors >= 1
