"""HTTP/2 by hand, for tests that need trailers: an upstream and a client, in clear text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

from tests.support.raw_http import Message

Answer = Callable[[Message], Message]
"""The `start` of what it returns is the status; without body and trailers, headers end it."""


@asynccontextmanager
async def h2_upstream(answer: Answer) -> AsyncIterator[int]:
    """Serve; gives the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _connection(client=False)
        writer.write(connection.data_to_send())
        try:
            async for stream, message in _messages(connection, reader, writer):
                made = answer(message)
                headers = {":status": made.start, **made.headers}
                _send(connection, stream, headers, [made.body], made.trailers)
                writer.write(connection.data_to_send())
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def send(
    host: str,
    path: str,
    pieces: Iterable[bytes],
    trailers: Mapping[str, str],
    headers: Mapping[str, str],
) -> Message:
    """Post pieces, trailers behind them, and read the whole answer; its `start` is the status."""
    name, _, port = host.partition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    try:
        connection = _connection(client=True)
        pseudo = {":method": "POST", ":scheme": "http", ":authority": host, ":path": path}
        _send(connection, 1, {**pseudo, **headers}, pieces, trailers)
        writer.write(connection.data_to_send())
        async for _, message in _messages(connection, reader, writer):
            return message
        raise ConnectionResetError("the connection ended before the answer")
    finally:
        writer.close()


def _connection(*, client: bool) -> H2Connection:
    connection = H2Connection(H2Configuration(client_side=client, header_encoding="utf-8"))
    connection.initiate_connection()
    # No test sends more than that: nobody has to wait for a window.
    connection.increment_flow_control_window(2**20)
    return connection


def _send(
    connection: H2Connection,
    stream: int,
    headers: Mapping[str, str],
    pieces: Iterable[bytes],
    trailers: Mapping[str, str],
) -> None:
    body = [piece for piece in pieces if piece]
    connection.send_headers(stream, list(headers.items()), end_stream=not (body or trailers))
    for number, piece in enumerate(body, 1):
        connection.send_data(stream, piece, end_stream=number == len(body) and not trailers)
    if trailers:
        connection.send_headers(stream, list(trailers.items()), end_stream=True)


async def _messages(
    connection: H2Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncIterator[tuple[int, Message]]:
    """Yield whole messages as they end."""
    open_streams: dict[int, Message] = {}
    while data := await reader.read(65536):
        for event in connection.receive_data(data):
            match event:
                case RequestReceived() | ResponseReceived():
                    fields = dict(event.headers)
                    start = fields.get(":status") or fields[":path"]
                    open_streams[event.stream_id] = Message(start, fields, b"")
                case DataReceived():
                    open_streams[event.stream_id].body += event.data
                    connection.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                case TrailersReceived():
                    open_streams[event.stream_id].trailers = dict(event.headers)
                case StreamEnded():
                    yield event.stream_id, open_streams.pop(event.stream_id)
                case StreamReset():
                    raise ConnectionResetError(f"stream reset: {event.error_code}")
        writer.write(connection.data_to_send())
