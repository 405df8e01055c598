"""A cheap provider: answers every POST with one JSON document, or with SSE at a set pace.

Run as a process of its own: `python -m bench.upstream` prints its port and serves until ended.
"""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_EVENTS = re.compile(rb"\r\nx-bench-events: (\d+)\r\n", re.IGNORECASE)
_PACE = re.compile(rb"\r\nx-bench-pace-ms: (\d+)\r\n", re.IGNORECASE)
_ANSWER_BYTES = re.compile(rb"\r\nx-bench-answer-bytes: (\d+)\r\n", re.IGNORECASE)
_ID = b'"id":"chatcmpl-bench","created":1700000000,"model":"bench-1"'
_ANSWER = (
    b'{"object":"chat.completion","id":"chatcmpl-bench","created":1700000000,"model":"bench-1",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"Forty-two.%s"},'
    b'"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":400,"completion_tokens":4,"total_tokens":404}}'
)
_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
# How far each stream's clock is set off from the one before, as a share of the pace: the golden
# ratio spreads any number of them evenly, so that events do not come in bursts.
_SPREAD = 0.618034


@lru_cache
def _json(least_bytes: int) -> bytes:
    body = _ANSWER % (b"x" * (least_bytes - len(_ANSWER)))
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def _event(data: bytes) -> bytes:
    frame = b"data: " + data + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(frame), frame)


_TOKEN = _event(
    b'{"object":"chat.completion.chunk",' + _ID + b',"choices":[{"index":0,"delta":'
    b'{"content":" word"},"finish_reason":null}]}'
)
_LAST = _event(b"[DONE]") + b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One keep-alive connection; requests come one at a time, as Envoy sends them."""

    streams = 0

    def __init__(self) -> None:
        self._received = bytearray()
        self._needed = 0
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) < self._needed:
            return
        end = self._received.find(b"\r\n\r\n") + 4
        if end < len(b"\r\n\r\n"):
            return
        head = bytes(self._received[: end - 2])
        length = _LENGTH.search(head)
        if length is None:
            raise ValueError("the load has bodies with a content-length")
        self._needed = end + int(length[1])
        if len(self._received) < self._needed:
            return
        del self._received[: self._needed]
        self._needed = 0
        self._answer(head)

    def _answer(self, head: bytes) -> None:
        assert self._transport is not None
        events = _EVENTS.search(head)
        pace = _PACE.search(head)
        if events is None or pace is None:
            least = _ANSWER_BYTES.search(head)
            self._transport.write(_json(int(least[1]) if least is not None else 0))
            return
        pace_s = int(pace[1]) / 1000
        Upstream.streams += 1
        first_s = pace_s * (1 + Upstream.streams * _SPREAD % 1)
        self._transport.write(_STREAM + _TOKEN)
        due_s = asyncio.get_running_loop().time() + first_s
        self._wait(due_s, pace_s, int(events[1]) - 1)

    def _wait(self, due_s: float, pace_s: float, left: int) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(due_s, self._send, due_s, pace_s, left)

    def _send(self, due_s: float, pace_s: float, left: int) -> None:
        if self._transport is None:
            return
        if left == 0:
            self._transport.write(_LAST)
            return
        self._transport.write(_TOKEN)
        self._wait(due_s + pace_s, pace_s, left - 1)


async def serve() -> None:
    """Serve on a free port, printed as a line, until ended."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
