"""The line between the supervisor and a worker: orders, reports, and that both live.

It is a socket pair, the worker's standard input, with one line of JSON for each message. The
supervisor orders a worker to `start` with a config, to `prepare` for another one, and then to
`commit` or `abort` that, and tells it when Envoy's configuration did `follow`. The worker reports
what came of it, but not of `abort` and `follow`. Either side learns of the other's end from the end
of the line.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from dataclasses import asdict, dataclass
from typing import Literal

from pipeline.errors import ConfigError, Problem

MAX_LINE_BYTES = 64 * 2**20


class NoReport(Exception):
    """Raised when a worker says what is no report."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is told.

    Args:
        do: what to do.
        attempt: a number that the report on it repeats.
        generation: of the config.
        text: the config, as its file had it.
        loaded_at_s: since the epoch.
        is_told: whether a `follow` is going to come.
    """

    do: Literal["start", "prepare", "commit", "abort", "follow"]
    attempt: int
    generation: int
    text: str = ""
    loaded_at_s: float = 0.0
    is_told: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What came of an order.

    Args:
        attempt: the order's.
        address: where the worker serves Envoy; empty if it cannot.
        problems: why it cannot do as it was told.
        changes: what the config would change in Envoy's.
    """

    attempt: int = 0
    address: str = ""
    problems: tuple[Problem, ...] = ()
    changes: tuple[str, ...] = ()


async def read_report(reader: asyncio.StreamReader) -> Report | None:
    """Wait for a worker's report; None if it ended without, in the midst of one too.

    Raises:
        NoReport: the worker said something else.
    """
    try:
        line = await _read(reader)
        if not line:
            return None
        document = json.loads(line)
        problems = tuple(Problem(**one) for one in document.pop("problems"))
        return Report(**{**document, "problems": problems, "changes": tuple(document["changes"])})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NoReport from error


def write_order(writer: asyncio.StreamWriter, order: Order) -> None:
    """Tell a worker."""
    writer.write(json.dumps(asdict(order)).encode() + b"\n")


class Line:
    """The worker's end.

    Args:
        reader, writer: of the socket.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def of_stdin(cls) -> Line:
        """Take standard input for it; plugins find that empty."""
        end = socket.socket(fileno=os.dup(0))
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        return cls(*await asyncio.open_connection(sock=end, limit=MAX_LINE_BYTES))

    async def order(self) -> Order | None:
        """Wait for what to do; None when the supervisor has ended."""
        line = await _read(self._reader)
        return Order(**json.loads(line)) if line else None

    def done(self, attempt: int, *, address: str = "", changes: tuple[str, ...] = ()) -> None:
        """Report that an order was carried out."""
        self._report(Report(attempt, address, changes=changes))

    def failed(self, attempt: int, error: ConfigError) -> None:
        """Report why it was not."""
        self._report(Report(attempt, problems=error.problems))

    def _report(self, report: Report) -> None:
        self._writer.write(json.dumps(asdict(report)).encode() + b"\n")


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Return a whole line, nothing where the other side has ended.

    Raises:
        ValueError: the line is over the limit.
    """
    try:
        line = await reader.readline()
    except ConnectionError:
        return b""
    return line if line.endswith(b"\n") else b""
