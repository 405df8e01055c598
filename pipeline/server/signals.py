"""Signals: the first SIGTERM or SIGINT drains, the second ends at once.

A worker heeds the first alone: a service manager may signal supervisor and workers, and then the
supervisor tells them once more. It kills them where the second signal asks for it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from typing import Any, Protocol

from pipeline.observability.logs import get_logger, log_loop_fault

ENDING = (signal.SIGTERM, signal.SIGINT)


class Service(Protocol):
    """What is started, and stopped when a signal says so."""

    async def start(self) -> None:
        """Begin to serve; cancelled where a signal comes before that."""

    async def stop(self) -> None:
        """Drain and end."""

    def abort(self) -> None:
        """End the process now; it does not return."""


async def until_signal(
    work: Coroutine[Any, Any, None],
    abort: Callable[[], object],
    *,
    numbers: Collection[signal.Signals] = ENDING,
    orphaned: Awaitable[object] | None = None,
) -> None:
    """Run a process' work until it ends, or a signal cancels it and it has cleaned up.

    Args:
        work: what to run.
        abort: ends the process now, for a second signal; it does not return.
        numbers: the signals.
        orphaned: of a worker: done when its supervisor has ended, which is as good as a signal.
    """
    asked: asyncio.Queue[object] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in numbers:
        loop.add_signal_handler(number, asked.put_nowait, number)
    loop.set_exception_handler(log_loop_fault)
    if orphaned is not None:
        asyncio.ensure_future(orphaned).add_done_callback(asked.put_nowait)
    working = asyncio.ensure_future(work)
    if await _comes_first(asked, working):
        working.cancel()
        if orphaned is None and await _comes_first(asked, working):
            abort()
    with suppress(asyncio.CancelledError):
        await working


async def serve_until_signal(
    service: Service,
    started: Callable[[], object],
    orphaned: Awaitable[object] | None = None,
) -> None:
    """Start a service, and stop it when a signal asks for it.

    Args:
        service: what to serve.
        started: called once it serves.
        orphaned: see `until_signal`.
    """
    await until_signal(_served(service, started), service.abort, orphaned=orphaned)


async def _served(service: Service, started: Callable[[], object]) -> None:
    await service.start()
    started()
    try:
        await asyncio.Event().wait()
    finally:
        get_logger().info("draining")
        await service.stop()


async def _comes_first(asked: asyncio.Queue[object], working: asyncio.Future[None]) -> bool:
    """Wait for a signal or the end of the work; say whether it was a signal."""
    signalled: asyncio.Future[Any] = asyncio.ensure_future(asked.get())
    await asyncio.wait({working, signalled}, return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()
    return not working.done()
