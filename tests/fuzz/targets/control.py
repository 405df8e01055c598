"""The control line: orders and reports arrive as they were sent, or not at all when cut off."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from pipeline.errors import ConfigError, Problem
from pipeline.server.control import Line, Order, Report, read_report, write_order
from tests.fuzz.reader import Choices

TOKENS = (b"\n", b"\r\n", b'"', b"\\", b"\xe2\x80\xa8", b"unix:/a", b"routes: []\n")


class _Wire:
    """A writer whose bytes can be read."""

    def __init__(self) -> None:
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent += data


def check(data: bytes) -> None:
    asyncio.run(_check(Choices(data)))


async def _check(choices: Choices) -> None:
    texts = [choices.piece().decode("utf-8", "surrogateescape") for _ in range(3)]
    number = choices.byte() * choices.byte()
    order = Order(choices.pick(("start", "prepare", "commit")), number, number, texts[0], 0.5)
    wire = _Wire()
    write_order(cast("asyncio.StreamWriter", wire), order)
    assert await _line(wire.sent).order() == order
    assert await _line(_cut_off(wire.sent, choices)).order() is None
    problems = tuple(Problem(texts[0], texts[1], texts[2] or None, number) for _ in range(2))
    reports = _Wire()
    worker = Line(_reader(b""), cast("asyncio.StreamWriter", reports))
    worker.failed(number, ConfigError(*problems))
    worker.done(number, address=texts[1], changes=tuple(texts))
    reader = _reader(reports.sent)
    assert await read_report(reader) == Report(number, problems=problems)
    assert await read_report(reader) == Report(number, texts[1], changes=tuple(texts))
    assert await read_report(reader) is None
    assert await read_report(_reader(_cut_off(reports.sent.splitlines(True)[0], choices))) is None


def _cut_off(line: bytes, choices: Choices) -> bytes:
    return line[: (choices.byte() * 7) % len(line)]


def _line(sent: bytes) -> Line:
    return Line(_reader(sent), cast("Any", None))


def _reader(data: bytes) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader
