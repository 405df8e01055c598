"""The outbox: writes that were handed over, and go to the store in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from plugins.semantic_cache.records import Body, Deleted, Flushed, StoreUnavailable
from plugins.semantic_cache.stores.codec import Packed
from plugins.semantic_cache.stores.options import StoreOptions

Write = Packed | Deleted | Flushed
"""A record to keep, or what to forget."""

_MAX_BATCH_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class _Waiting:
    write: Write
    ids: tuple[str, ...]
    size_bytes: int
    written: asyncio.Future[None] | None


class Outbox:
    """Takes writes in order, and gives them to a writer as many at once as there are.

    What one process hands over it sees at once (`waiting`), before others do.

    Args:
        name: the store's address without credentials, for errors.
        write: makes a batch last, in its order; it raises StoreUnavailable if it could not.
        options: of the store.
        max_batch: writes.
        pause_s: between two batches, unless somebody waits: what comes meanwhile is one batch.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[list[Write]], Awaitable[None]],
        options: StoreOptions,
        *,
        max_batch: int,
        pause_s: float = 0.0,
    ) -> None:
        self._name = name
        self._write = write
        self._options = options
        self._max_batch = max_batch
        self._pause_s = pause_s
        self._queue: deque[_Waiting] = deque()
        self._size_bytes = 0
        # INVARIANT: of each entry the last write that is not yet written; None if it goes.
        self._latest: dict[str, tuple[_Waiting, Body | None]] = {}
        self._changed = asyncio.Condition()
        self._urgent = asyncio.Event()
        self._is_idle = True
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run(), name="cache store writes")

    async def put(self, packed: Packed) -> None:
        """Hand a record over; it waits for room.

        Raises:
            StoreUnavailable: if there is no room within the time that a write may take.
        """
        id_, body = packed.record.meta.id, packed.record.body
        waiting = _Waiting(packed, (id_,), len(packed.meta) + len(packed.body), None)
        try:
            async with asyncio.timeout(self._options.write_timeout_s), self._changed:
                await self._changed.wait_for(self._has_room)
                self._add(waiting, body)
        except TimeoutError:
            raise StoreUnavailable(f"{self._name}: cannot keep up with what is stored") from None

    async def forget(self, what: Deleted | Flushed) -> None:
        """Forget entries; it returns when the store did.

        Raises:
            StoreUnavailable: if it could not.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        async with self._changed:
            ids = what.ids if isinstance(what, Deleted) else tuple(self._latest)
            self._add(_Waiting(what, ids, 0, written), None)
            self._urgent.set()
        await asyncio.shield(written)

    def waiting(self, id_: str) -> tuple[Body | None] | None:
        """Return what is handed over of an entry: its body, or None if it goes; None if nothing."""
        latest = self._latest.get(id_)
        return None if latest is None else (latest[1],)

    async def close(self) -> None:
        """Write what is there, within the time that a write may take."""
        if self._task is None:
            return
        self._urgent.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.write_timeout_s), self._changed:
                await self._changed.wait_for(lambda: self._is_idle and not self._queue)
        self._task.cancel()
        await asyncio.wait([self._task])
        self._settle(self._queue, self._closed())
        self._queue.clear()

    def _has_room(self) -> bool:
        if self._task is not None and self._task.done():
            self._task.result()
        return self._size_bytes < self._options.max_waiting_bytes

    def _add(self, waiting: _Waiting, body: Body | None) -> None:
        self._queue.append(waiting)
        self._size_bytes += waiting.size_bytes
        self._latest.update((id_, (waiting, body)) for id_ in waiting.ids)
        self._changed.notify_all()

    async def _run(self) -> None:
        while True:
            async with self._changed:
                self._is_idle = True
                self._changed.notify_all()
                await self._changed.wait_for(lambda: bool(self._queue))
                self._is_idle = False
                self._urgent.clear()
                batch = self._take()
            try:
                await self._write([waiting.write for waiting in batch])
            except StoreUnavailable as error:
                self._settle(batch, error)
            except BaseException:
                # Cancelled by `close`: whether it was written nobody knows.
                self._settle(batch, self._closed())
                raise
            else:
                self._settle(batch, None)
            if self._pause_s and not self._queue_is_urgent():
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause_s):
                        await self._urgent.wait()

    def _closed(self) -> StoreUnavailable:
        return StoreUnavailable(f"{self._name}: closed")

    def _queue_is_urgent(self) -> bool:
        return any(waiting.written is not None for waiting in self._queue)

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size_bytes = 0
        while self._queue and len(batch) < self._max_batch and size_bytes < _MAX_BATCH_BYTES:
            batch.append(self._queue.popleft())
            size_bytes += batch[-1].size_bytes
        return batch

    def _settle(self, batch: Iterable[_Waiting], error: StoreUnavailable | None) -> None:
        """Tell who waits, and count what is lost."""
        lost = 0
        for waiting in batch:
            self._size_bytes -= waiting.size_bytes
            for id_ in waiting.ids:
                if (latest := self._latest.get(id_)) is not None and latest[0] is waiting:
                    del self._latest[id_]
            if waiting.written is None:
                lost += error is not None
            elif waiting.written.done():
                continue
            elif error is None:
                waiting.written.set_result(None)
            else:
                waiting.written.set_exception(error)
        if lost:
            self._options.on_lost(lost)
