"""The store in an SQLite file: one node's, shared by its processes, outliving them."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from plugins.semantic_cache.records import Body, Change, Deleted, Flushed, Position, Record
from plugins.semantic_cache.stores import sqlite_file
from plugins.semantic_cache.stores.address import Address
from plugins.semantic_cache.stores.breaker import Breaker
from plugins.semantic_cache.stores.codec import pack
from plugins.semantic_cache.stores.options import DEFAULT_NAMESPACE, StoreOptions
from plugins.semantic_cache.stores.outbox import Outbox, Write
from plugins.semantic_cache.stores.sqlite_table import Reader, Writer, select_bodies

T = TypeVar("T")

# Each commit waits for the disk: at most twenty a second.
_PAUSE_S = 0.05
_MAX_BATCH = 1_000


class SqliteStore:
    """Keeps records in a file, by threads of its own: the event loop never waits for the disk.

    Args:
        address: of the file.
        options: of the store.
    """

    def __init__(self, address: Address, options: StoreOptions) -> None:
        self._path = address.path
        if options.namespace != DEFAULT_NAMESPACE:
            self._path += f".{options.namespace}"
        self._options = options
        self._breaker = Breaker(
            f"sqlite:{self._path}",
            failures=(sqlite3.Error, OSError),
            probe=self._probe,
            options=options,
        )
        self._outbox = Outbox(
            f"sqlite:{self._path}", self._write, options, max_batch=_MAX_BATCH, pause_s=_PAUSE_S
        )
        self._threads: dict[str, ThreadPoolExecutor] = {}
        self._connections: dict[str, sqlite3.Connection] = {}
        self._lock = -1

    @property
    def is_shared(self) -> bool:
        """Whether other processes see it: those of this node do."""
        return True

    async def open(self) -> None:
        """Make the file, or open it.

        Raises:
            UnusableStore: if it is another program's, or cannot be made.
        """
        for job in ("write", "fetch", "tail"):
            self._threads[job] = ThreadPoolExecutor(1, f"cache-store-{job}")
        await self._in_thread("write", self._connect)
        self._outbox.start()

    async def close(self) -> None:
        """Write what was handed over, and let go of the file."""
        await self._outbox.close()
        await self._breaker.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.write_timeout_s):
                for job, connection in self._connections.items():
                    await self._in_thread(job, connection.close)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        for thread in self._threads.values():
            thread.shutdown(wait=False)

    async def put(self, record: Record) -> None:
        """Hand a record over."""
        self._breaker.check()
        await self._outbox.put(pack(record))

    async def get(self, ids: Sequence[str]) -> list[Body | None]:
        """Return bodies in the order of ids."""
        waiting = {id_: self._outbox.waiting(id_) for id_ in ids}
        asked = [id_ for id_, latest in waiting.items() if latest is None]
        found: dict[str, Body] = {}
        if asked:
            connection = self._connections["fetch"]
            found = await self._breaker.call(
                lambda: self._in_thread("fetch", lambda: select_bodies(connection, asked)),
                self._options.get_timeout_s,
            )
        return [found.get(id_) if (latest := waiting[id_]) is None else latest[0] for id_ in ids]

    async def delete(self, ids: Sequence[str]) -> None:
        """Forget entries."""
        if ids:
            self._breaker.check()
            await self._outbox.forget(Deleted(tuple(ids)))

    async def flush(self) -> None:
        """Forget everything."""
        self._breaker.check()
        await self._outbox.forget(Flushed())

    async def tail(self, position: Position) -> tuple[list[Change], Position]:
        """Return what happened after a position."""
        return await self._breaker.call(
            lambda: self._in_thread("tail", lambda: self._reader.read(position)),
            self._options.write_timeout_s,
        )

    def _connect(self) -> None:
        self._lock = sqlite_file.open_file(self._path)
        timeout_s = self._options.write_timeout_s
        self._connections = {
            job: sqlite_file.connect(self._path, timeout_s) for job in self._threads
        }
        self._writer = Writer(self._connections["write"], self._options.max_log)
        self._reader = Reader(self._connections["tail"])

    async def _write(self, batch: list[Write]) -> None:
        await self._breaker.call(
            lambda: self._in_thread("write", lambda: self._writer.write(batch)),
            self._options.write_timeout_s,
        )

    async def _probe(self) -> None:
        await self._in_thread("write", lambda: self._writer.write([]))

    async def _in_thread(self, job: str, do: Callable[[], T]) -> T:
        # Cancelled, the thread goes on alone and what it found is dropped.
        return await asyncio.get_running_loop().run_in_executor(self._threads[job], do)
