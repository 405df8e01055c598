"""HTTP/1.1 by hand, for tests that need trailers: an upstream and a client."""

from __future__ import annotations

import asyncio
import http.client
import io
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class Message:
    """A request or an answer, its trailers apart."""

    start: str
    headers: dict[str, str]
    body: bytes
    trailers: dict[str, str] = field(default_factory=dict)


Answer = Callable[[Message], bytes]


@asynccontextmanager
async def raw_upstream(answer: Answer) -> AsyncIterator[int]:
    """Serve; every request is parsed, and answered with the bytes that `answer` makes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(answer(await read_message(reader)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def read_message(reader: asyncio.StreamReader) -> Message:
    """Read one message with its body and trailers."""
    start = (await reader.readuntil(b"\r\n")).decode().strip()
    headers = await _fields(reader)
    if headers.get("transfer-encoding") != "chunked":
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Message(start, headers, body)
    pieces = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        pieces.append((await reader.readexactly(size + 2))[:-2])
    return Message(start, headers, b"".join(pieces), await _fields(reader))


async def send(
    host: str,
    path: str,
    pieces: list[bytes],
    trailers: Mapping[str, str],
    headers: Mapping[str, str] | None = None,
) -> Message:
    """Post pieces as chunks, trailers behind them, and read the whole answer."""
    name, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    try:
        lines = {"host": host, "connection": "close", "transfer-encoding": "chunked"}
        lines |= headers or {}
        writer.write(f"POST {path} HTTP/1.1\r\n".encode() + _lines(lines) + b"\r\n")
        writer.write(chunked(pieces, trailers))
        await writer.drain()
        return await read_message(reader)
    finally:
        writer.close()


def chunked(pieces: list[bytes], trailers: Mapping[str, str]) -> bytes:
    """Return pieces as a chunked body."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return body + b"0\r\n" + _lines(trailers) + b"\r\n"


async def _fields(reader: asyncio.StreamReader) -> dict[str, str]:
    lines = []
    while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
        lines.append(line)
    parsed = http.client.parse_headers(io.BytesIO(b"".join(lines) + b"\r\n"))
    return {name.lower(): value for name, value in parsed.items()}


def _lines(fields: Mapping[str, str]) -> bytes:
    return b"".join(f"{name}: {value}\r\n".encode() for name, value in fields.items())
