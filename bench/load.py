"""A closed-loop HTTP/1.1 load: N keep-alive connections, each asking again once it is answered.

Run as a process of its own, so that it disturbs nothing: `python -m bench.load` reads one job a
line, as JSON, and prints one result a line.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import cast

import orjson
import uvloop

from bench.measure import percentile

# How long the last answers may take after the time is over.
GRACE_S = 30.0
_END = b"\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Job:
    """What to ask, how often at once, for how long.

    Args:
        port: where, on this machine.
        connections: how many ask at once.
        seconds: when no new request is made any more.
        events: how many SSE events to ask for; 0 asks for a JSON document.
        pace_ms: the time between events.
        body_bytes: the size of the request's JSON body.
    """

    port: int
    connections: int
    seconds: float
    events: int = 0
    pace_ms: int = 0
    body_bytes: int = 2048


@dataclass(slots=True)
class Result:
    """What a job came to.

    Args:
        requests: complete answers with status 200 and all their events.
        errors: other answers, and connections that broke.
        events: SSE events received, `[DONE]` included.
        seconds: how long it took.
        latency_ms: p50, p90 and p99 from the request to the last byte.
        first_ms: p50, p90 and p99 from the request to the first byte of the body.
    """

    requests: int
    errors: int
    events: int
    seconds: float
    latency_ms: dict[str, float]
    first_ms: dict[str, float]


@dataclass(slots=True)
class _Tally:
    errors: int = 0
    events: int = 0
    latency_s: list[float] = field(default_factory=list)
    first_s: list[float] = field(default_factory=list)


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
    paced = f"x-bench-events: {job.events}\r\nx-bench-pace-ms: {job.pace_ms}\r\n"
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench.example\r\n"
        "content-type: application/json\r\naccept: */*\r\nuser-agent: bench\r\n"
        f"{paced if job.events else ''}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Client(asyncio.Protocol):
    """One connection of the load."""

    def __init__(self, job: Job, deadline_s: float, tally: _Tally) -> None:
        self.done = asyncio.get_running_loop().create_future()
        self._request = request(job)
        self._expected = job.events + 1 if job.events else 0
        self._deadline_s = deadline_s
        self._tally = tally
        self._transport: asyncio.Transport | None = None
        self._ask()

    def _ask(self) -> None:
        self._head: bytes | None = b""
        self._left: int | None = None
        self._tail = b""
        self._events = 0
        self._first = True
        self._asked_s = time.perf_counter()
        if self._transport is not None:
            self._transport.write(self._request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if not self.done.done():
            self._tally.errors += 1
            self.done.set_result(None)

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
        if self._body_is_complete(data):
            self._finish(failed=self._events != self._expected)

    def _body_is_complete(self, data: bytes) -> bool:
        if data and self._first:
            self._first = False
            self._tally.first_s.append(time.perf_counter() - self._asked_s)
        if self._left is not None:
            self._left -= len(data)
            return self._left == 0
        # The last byte of what came before is all that a frame's end can be split over.
        self._events += (self._tail[-1:] + data).count(b"\n\n")
        self._tail = (self._tail + data)[-len(_END) :]
        return self._tail == _END

    def _finish(self, *, failed: bool) -> None:
        assert self._transport is not None
        now_s = time.perf_counter()
        if failed:
            self._tally.errors += 1
        else:
            self._tally.events += self._events
            self._tally.latency_s.append(now_s - self._asked_s)
        if failed or now_s >= self._deadline_s:
            self.done.set_result(None)
            self._transport.close()
        else:
            self._ask()


def _content_length(head: bytes) -> int | None:
    for entry in head.split(b"\r\n"):
        name, _, value = entry.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return None


def _summary_ms(seconds: list[float]) -> dict[str, float]:
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    return {name: percentile(seconds, share) * 1000 for name, share in shares.items()}


async def run(job: Job) -> Result:
    """Do a job."""
    loop = asyncio.get_running_loop()
    tally = _Tally()
    start_s = time.perf_counter()
    clients = []
    for _ in range(job.connections):
        _, client = await loop.create_connection(
            lambda: Client(job, start_s + job.seconds, tally), "127.0.0.1", job.port
        )
        clients.append(client)
    async with asyncio.timeout(job.seconds + GRACE_S):
        await asyncio.gather(*(client.done for client in clients))
    return Result(
        requests=len(tally.latency_s),
        errors=tally.errors,
        events=tally.events,
        seconds=time.perf_counter() - start_s,
        latency_ms=_summary_ms(tally.latency_s) if tally.latency_s else {},
        first_ms=_summary_ms(tally.first_s) if tally.first_s else {},
    )


def main() -> None:
    """Do the jobs that stdin names, one after the other."""
    for text in sys.stdin:
        result = uvloop.run(run(Job(**orjson.loads(text))))
        print(orjson.dumps(asdict(result)).decode(), flush=True)


if __name__ == "__main__":
    main()
