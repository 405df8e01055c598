"""A client of the load: one keep-alive HTTP/1.1 connection, and what it asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import orjson

_END = b"\r\n0\r\n\r\n"
Done = Callable[["Client", bool], None]
"""Called when an answer ended, with whether the connection can ask again."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to ask, how often at once, for how long.

    Args:
        port: where, on this machine.
        connections: how many ask at once, at most.
        seconds: when no new request is made any more.
        events: how many SSE events to ask for; 0 asks for a JSON document.
        pace_ms: the time between events.
        body_bytes: the size of the request's JSON body.
        answer_bytes: the least size of the JSON answer.
        rate_per_s: of an open loop's schedule; 0 is a closed loop.
        headers: more headers of the request.
    """

    port: int
    connections: int
    seconds: float
    events: int = 0
    pace_ms: int = 0
    body_bytes: int = 2048
    answer_bytes: int = 0
    rate_per_s: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Tally:
    """What the clients of a job saw.

    Args:
        errors: answers that are not complete with status 200, and connections that broke.
        events: SSE events received, `[DONE]` included.
        latency_s: from when the request was due to the last byte.
        first_s: from when the request was due to the first byte of the body.
        late_s: from when the request was due until it was sent.
    """

    errors: int = 0
    events: int = 0
    latency_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)


def request(job: Job) -> bytes:
    """Return the bytes of the request: a chat completion of the job's size."""
    document = {
        "model": "bench-1",
        "stream": job.events > 0,
        "messages": [
            {"role": "system", "content": "You answer in one word."},
            {"role": "user", "content": ""},
        ],
    }
    document["messages"][1]["content"] = "x" * (job.body_bytes - len(orjson.dumps(document)))  # type: ignore[index]
    body = orjson.dumps(document)
    headers = {
        "host": "bench.example",
        "content-type": "application/json",
        "accept": "*/*",
        "user-agent": "bench",
        **job.headers,
        "content-length": len(body),
    }
    if job.events:
        headers |= {"x-bench-events": job.events, "x-bench-pace-ms": job.pace_ms}
    if job.answer_bytes:
        headers["x-bench-answer-bytes"] = job.answer_bytes
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n".encode() + body


class Client(asyncio.Protocol):
    """One connection of the load.

    Args:
        job: what it asks.
        tally: where it counts.
        done: see `Done`.
    """

    def __init__(self, job: Job, tally: Tally, done: Done) -> None:
        self._request = request(job)
        self._expected = job.events + 1 if job.events else 0
        self._tally = tally
        self._done = done
        self._is_asking = False
        self._transport: asyncio.Transport | None = None

    def ask(self, due_s: float | None = None) -> None:
        """Send the request.

        Args:
            due_s: since when its answer is waited for; now if absent.
        """
        assert self._transport is not None
        self._head: bytes | None = b""
        self._left: int | None = None
        self._tail = b""
        self._events = 0
        self._first = self._is_asking = True
        now_s = time.perf_counter()
        self._due_s = now_s if due_s is None else due_s
        self._tally.late_s.append(now_s - self._due_s)
        self._transport.write(self._request)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._is_asking:
            self._finish(failed=True)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = None
            if not head.startswith(b"HTTP/1.1 200 "):
                self._finish(failed=True)
                return
            self._left = _content_length(head)
        if self._is_asking and self._body_is_complete(data):
            self._finish(failed=self._events != self._expected)

    def _body_is_complete(self, data: bytes) -> bool:
        if data and self._first:
            self._first = False
            self._tally.first_s.append(time.perf_counter() - self._due_s)
        if self._left is not None:
            self._left -= len(data)
            return self._left == 0
        # The last byte of what came before is all that a frame's end can be split over.
        self._events += (self._tail[-1:] + data).count(b"\n\n")
        self._tail = (self._tail + data)[-len(_END) :]
        return self._tail == _END

    def _finish(self, *, failed: bool) -> None:
        self._is_asking = False
        if failed:
            self._tally.errors += 1
            self.close()
        else:
            self._tally.events += self._events
            self._tally.latency_s.append(time.perf_counter() - self._due_s)
        self._done(self, not failed)


def _content_length(head: bytes) -> int | None:
    for entry in head.split(b"\r\n"):
        name, _, value = entry.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return None
