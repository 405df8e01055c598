"""The load, closed or open loop, over HTTP/1.1.

Closed: N keep-alive connections, each asking again once it is answered. Open: requests are due at
times that were drawn before, whatever became of those before them, and latency counts from then:
a server that stalls is not asked less (no coordinated omission).

Run as a process of its own, so that it disturbs nothing: `python -m bench.load` reads one job a
line, as JSON, and prints one result a line.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson
import uvloop

from bench.client import Client, Done, Job, Tally
from bench.measure import percentile
from bench.schedule import arrivals

__all__ = ["Job", "Result", "run"]

# How long the last answers may take after the time is over.
GRACE_S = 30.0


@dataclass(slots=True)
class Result:
    """What a job came to.

    Args:
        requests: complete answers with status 200 and all their events.
        errors: other answers, and connections that broke.
        events: SSE events received, `[DONE]` included.
        seconds: how long it took.
        latency_ms: p50, p90 and p99 from when the request was due to the last byte.
        first_ms: p50, p90 and p99 from when the request was due to the first byte of the body.
        late_ms: p50, p90 and p99 from when the request was due until it was sent.
    """

    requests: int
    errors: int
    events: int
    seconds: float
    latency_ms: dict[str, float]
    first_ms: dict[str, float]
    late_ms: dict[str, float]


async def run(job: Job) -> Result:
    """Do a job."""
    tally = Tally()
    start_s = time.perf_counter()
    async with asyncio.timeout(job.seconds + GRACE_S):
        if job.rate_per_s:
            due_s = arrivals(job.rate_per_s, job.seconds)
            await _OpenLoop(job, tally).run(due_s)
            # The schedule's own length: its last request may come before the end of it.
            seconds = max(job.seconds, time.perf_counter() - start_s)
        else:
            await _closed_loop(job, tally)
            seconds = time.perf_counter() - start_s
    return Result(
        requests=len(tally.latency_s),
        errors=tally.errors,
        events=tally.events,
        seconds=seconds,
        latency_ms=_summary_ms(tally.latency_s),
        first_ms=_summary_ms(tally.first_s),
        late_ms=_summary_ms(tally.late_s),
    )


async def _closed_loop(job: Job, tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    deadline_s = time.perf_counter() + job.seconds
    asking = job.connections

    def done(client: Client, is_usable: bool) -> None:
        nonlocal asking
        if is_usable and time.perf_counter() < deadline_s:
            client.ask()
            return
        client.close()
        asking -= 1
        if asking == 0:
            over.set_result(None)

    for client in [await _connect(job, tally, done) for _ in range(job.connections)]:
        client.ask()
    await over


class _OpenLoop:
    """Requests at their times, on whichever connection is free; those that find none wait."""

    def __init__(self, job: Job, tally: Tally) -> None:
        self._job = job
        self._tally = tally
        self._idle: list[Client] = []
        self._waiting: deque[float] = deque()
        self._left = 0
        self._is_over = threading.Event()
        self._over = asyncio.get_running_loop().create_future()

    async def run(self, due_s: Sequence[float]) -> None:
        """Make a request at each of these times from now, and wait for the last answer."""
        clients = [
            await _connect(self._job, self._tally, self._done) for _ in range(self._job.connections)
        ]
        self._idle += clients
        self._left = len(due_s)
        # An event loop's timers are due to the millisecond only; a waiting thread is far better.
        loop = asyncio.get_running_loop()
        ticker = threading.Thread(target=self._tick, args=(loop, due_s), daemon=True)
        ticker.start()
        await self._over
        self._is_over.set()
        ticker.join()
        for client in clients:
            client.close()

    def _tick(self, loop: asyncio.AbstractEventLoop, due_s: Sequence[float]) -> None:
        start_s = time.perf_counter()
        for offset_s in due_s:
            if self._is_over.wait(max(0.0, start_s + offset_s - time.perf_counter())):
                return
            loop.call_soon_threadsafe(self._due, start_s + offset_s)

    def _due(self, due_s: float) -> None:
        if self._idle:
            self._idle.pop().ask(due_s)
        else:
            self._waiting.append(due_s)

    def _done(self, client: Client, is_usable: bool) -> None:
        self._left -= 1
        # One failure makes the figures void: whoever asked for them is told so at once.
        if not is_usable or self._left == 0:
            if not self._over.done():
                self._over.set_result(None)
        elif self._waiting:
            client.ask(self._waiting.popleft())
        else:
            self._idle.append(client)


async def _connect(job: Job, tally: Tally, done: Done) -> Client:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(
        lambda: Client(job, tally, done), "127.0.0.1", job.port
    )
    return client


def _summary_ms(seconds: list[float]) -> dict[str, float]:
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99} if seconds else {}
    return {name: percentile(seconds, share) * 1000 for name, share in shares.items()}


def main() -> None:
    """Do the jobs that stdin names, one after the other."""
    for text in sys.stdin:
        result = uvloop.run(run(Job(**orjson.loads(text))))
        print(orjson.dumps(asdict(result)).decode(), flush=True)


if __name__ == "__main__":
    main()
