"""Signals: the first SIGTERM or SIGINT drains, the second ends at once.

A worker heeds the first alone: a service manager may signal supervisor and workers, and then the
supervisor tells them once more. It kills them where the second signal asks for it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Protocol

from pipeline.observability.logs import get_logger, log_loop_fault


class Service(Protocol):
    """What is started, and stopped when a signal says so."""

    async def start(self) -> None:
        """Begin to serve; cancelled where a signal comes before that."""

    async def stop(self) -> None:
        """Drain and end."""

    def abort(self) -> None:
        """End the process now; it does not return."""


async def serve_until_signal(
    service: Service,
    started: Callable[[], object],
    orphaned: Awaitable[object] | None = None,
) -> None:
    """Start a service, and stop it when a signal asks for it.

    Args:
        service: what to serve.
        started: called once it serves.
        orphaned: of a worker: done when its supervisor has ended, which is as good as a signal.
    """
    asked: asyncio.Queue[object] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.put_nowait, number)
    loop.set_exception_handler(log_loop_fault)
    if orphaned is not None:
        asyncio.ensure_future(orphaned).add_done_callback(asked.put_nowait)
    starting = asyncio.ensure_future(service.start())
    first = asyncio.ensure_future(asked.get())
    await asyncio.wait({starting, first}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return
    await starting
    started()
    await first
    get_logger().info("draining")
    drain = asyncio.ensure_future(service.stop())
    if orphaned is None:
        second = asyncio.ensure_future(asked.get())
        await asyncio.wait({drain, second}, return_when=asyncio.FIRST_COMPLETED)
        if not drain.done():
            service.abort()
        second.cancel()
    await drain
