"""The load of the soak: a mix of buffered and streamed calls, some given up half-way.

Run as a process of its own: `python -m bench.soak_load BUFFERED_PORT STREAMED_PORT` reads how many
requests to make, a line at a time, and prints what became of them as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import uvloop

from bench.client import Job, request

CONNECTIONS = 16
STREAMED_SHARE, CANCELLED_SHARE = 0.2, 0.05
_EVENTS, _PACE_MS = 5, 1
_TIMEOUT_S = 20.0
# An answer takes about this long: a cancel within it may come before, in or after any phase.
_CANCEL_WITHIN_S = 0.02
Phase = Literal["none", "body", "answer", "stream"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One request of the soak.

    Args:
        streamed: whether its answer is a stream.
        cancel: in which phase the client goes away: in the request's body, while it waits for the
            answer, or in the middle of the stream.
        at: where in that phase, from 0 to 1.
    """

    streamed: bool
    cancel: Phase
    at: float


def draw(randomness: random.Random) -> Turn:
    """Draw a request."""
    streamed = randomness.random() < STREAMED_SHARE
    cancel: Phase = "none"
    if randomness.random() < CANCELLED_SHARE:
        phases: list[Phase] = ["body", "answer", "stream"] if streamed else ["body", "answer"]
        cancel = randomness.choice(phases)
    return Turn(streamed, cancel, randomness.random())


class _Caller:
    """One after the other, over one connection until that is given up."""

    def __init__(self, ports: dict[bool, int], randomness: random.Random) -> None:
        self._ports = ports
        self._randomness = randomness
        self._open: dict[bool, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        jobs = {
            False: Job(port=ports[False], connections=1, seconds=0),
            True: Job(port=ports[True], connections=1, seconds=0, events=_EVENTS, pace_ms=_PACE_MS),
        }
        self._requests = {streamed: request(job) for streamed, job in jobs.items()}

    async def call(self) -> str:
        """Make one request and return what became of it."""
        turn = draw(self._randomness)
        if turn.streamed not in self._open:
            port = self._ports[turn.streamed]
            self._open[turn.streamed] = await asyncio.open_connection("127.0.0.1", port)
        reader, writer = self._open[turn.streamed]
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                ending = await self._ask(turn, reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            ending = f"failed: {type(error).__name__}"
        if ending != "answered":
            writer.transport.abort()
            del self._open[turn.streamed]
        return ending

    async def _ask(
        self, turn: Turn, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> str:
        wanted = self._requests[turn.streamed]
        if turn.cancel == "body":
            writer.write(wanted[: int(turn.at * (len(wanted) - 1)) + 1])
            await asyncio.sleep(turn.at * _CANCEL_WITHIN_S)
            return "cancelled"
        writer.write(wanted)
        if turn.cancel == "answer":
            await asyncio.sleep(turn.at * _CANCEL_WITHIN_S)
            return "cancelled"
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            return f"failed: {head[9:12].decode(errors='replace')}"
        if not turn.streamed:
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            return "answered"
        for _ in range(int(turn.at * _EVENTS) + 1 if turn.cancel == "stream" else _EVENTS + 1):
            await reader.readuntil(b"\n\n")
        if turn.cancel == "stream":
            return "cancelled"
        await reader.readuntil(b"\r\n0\r\n\r\n")
        return "answered"

    def close(self) -> None:
        for _, writer in self._open.values():
            writer.transport.abort()


async def _serve(ports: dict[bool, int], seed: int) -> None:
    randomness = random.Random(seed)
    callers = [_Caller(ports, random.Random(randomness.random())) for _ in range(CONNECTIONS)]
    loop = asyncio.get_running_loop()
    while text := await loop.run_in_executor(None, sys.stdin.readline):
        left = int(text)
        endings: Counter[str] = Counter()

        async def work(caller: _Caller, endings: Counter[str] = endings) -> None:
            nonlocal left
            while left > 0:
                left -= 1
                endings[await caller.call()] += 1

        await asyncio.gather(*(work(caller) for caller in callers))
        print(json.dumps(endings), flush=True)
    for caller in callers:
        caller.close()


if __name__ == "__main__":
    uvloop.run(_serve({False: int(sys.argv[1]), True: int(sys.argv[2])}, seed=1))
