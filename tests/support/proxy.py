"""A TCP proxy that does to a connection what a network may, switched while it runs."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

_CHUNK_BYTES = 65_536
# With this, closing sends a reset and not an orderly end.
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Way:
    """What happens to the bytes that flow one way.

    Args:
        delay_s: before each piece goes on.
        bytes_per_s: how fast they drip; as they come if 0.
        is_hole: they are taken, and go nowhere.
        garbles: how many of the next pieces get a first byte that is wrong, with those after it.
    """

    delay_s: float = 0.0
    bytes_per_s: int = 0
    is_hole: bool = False
    garbles: int = 0


@dataclass
class Proxy:
    """A proxy that listens.

    Args:
        target: where it connects to: `unix:PATH` or `HOST:PORT`.
        port: where it listens, on 127.0.0.1.
        up: the way to the target.
        down: the way back.
        refuses: new connections are reset at once.
    """

    target: str
    port: int = 0
    up: Way = field(default_factory=Way)
    down: Way = field(default_factory=Way)
    refuses: bool = False
    _open: dict[asyncio.StreamWriter, asyncio.StreamWriter] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def heal(self) -> None:
        """Do no harm any more; what is broken stays so."""
        self.up, self.down, self.refuses = Way(), Way(), False

    def swallow(self) -> None:
        """Be a black hole both ways: connections stay, and new ones are taken."""
        self.up.is_hole = self.down.is_hole = True

    def reset(self) -> None:
        """Reset every connection, on both sides."""
        for near, far in list(self._open.items()):
            _abort(near)
            _abort(far)

    def half_open(self) -> None:
        """Let the target's side end without a word to the other one, which hears no more."""
        self.swallow()
        for far in list(self._open.values()):
            _abort(far)

    async def _serve(self, near_reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        if self.refuses:
            _abort(near)
            return
        try:
            far_reader, far = await self._connect()
        except OSError:
            _abort(near)
            return
        self._open[near] = far
        ways = (
            asyncio.create_task(self._pump(near_reader, far, "up")),
            asyncio.create_task(self._pump(far_reader, near, "down")),
        )
        try:
            await asyncio.wait(ways)
        finally:
            for way in ways:
                way.cancel()
            del self._open[near]
            near.close()
            far.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        path = self.target.removeprefix("unix:")
        if path != self.target:
            return await asyncio.open_unix_connection(path)
        host, _, port = self.target.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_CHUNK_BYTES):
                way: Way = getattr(self, name)
                if way.garbles:
                    way.garbles -= 1
                    data = b"\xff" * min(len(data), 9) + data[9:]
                await asyncio.sleep(way.delay_s)
                await self._write(writer, data, name)
        # In a black hole the end of a connection is lost like all else.
        while getattr(self, name).is_hole:  # noqa: ASYNC110 - a test switches it
            await asyncio.sleep(0.01)
        writer.close()

    async def _write(self, writer: asyncio.StreamWriter, data: bytes, name: str) -> None:
        while data:
            way: Way = getattr(self, name)
            if way.is_hole:
                return
            size = max(1, way.bytes_per_s // 50) if way.bytes_per_s else len(data)
            writer.write(data[:size])
            await writer.drain()
            data = data[size:]
            if way.bytes_per_s:
                await asyncio.sleep(0.02)


def _abort(writer: asyncio.StreamWriter) -> None:
    own: Any = writer.get_extra_info("socket")
    with suppress(OSError):
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


@asynccontextmanager
async def proxy_to(target: str) -> AsyncIterator[Proxy]:
    """Run a proxy for the time of the block."""
    proxy = Proxy(target)
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.add(task)
        with suppress(asyncio.CancelledError):
            await proxy._serve(reader, writer)
        served.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.reset()
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)
