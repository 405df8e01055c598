"""The line between the supervisor and a worker: what the worker reports, and that both live.

It is a socket pair, the worker's standard input. The worker writes one line of JSON: that it
serves, or why it cannot. Either side learns of the other's end from the end of the line.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from dataclasses import asdict, dataclass

from pipeline.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of its start.

    Args:
        address: where it serves Envoy; empty if it cannot.
        problems: why it cannot.
    """

    address: str = ""
    problems: tuple[Problem, ...] = ()


async def read_report(reader: asyncio.StreamReader) -> Report | None:
    """Wait for a worker's report; None if it ended without."""
    line = await reader.readline()
    if not line.endswith(b"\n"):
        return None
    document = json.loads(line)
    return Report(document["address"], tuple(Problem(**one) for one in document["problems"]))


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
        return cls(*await asyncio.open_connection(sock=end))

    def serving(self, address: str) -> None:
        """Report that the worker serves."""
        self._report(Report(address))

    def failed(self, error: ConfigError) -> None:
        """Report why it cannot."""
        self._report(Report(problems=error.problems))

    async def lost(self) -> None:
        """Wait until the supervisor has ended."""
        await self._reader.read()

    def _report(self, report: Report) -> None:
        self._writer.write(json.dumps(asdict(report)).encode() + b"\n")
