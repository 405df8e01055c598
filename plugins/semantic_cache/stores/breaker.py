"""The circuit breaker: who failed several times in a row is not asked, until a probe succeeds."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from plugins.semantic_cache.records import StoreUnavailable
from plugins.semantic_cache.stores.options import StoreOptions

T = TypeVar("T")

_LONGEST_PAUSE_S = 30.0


class Breaker:
    """Guards calls of one server: each has a deadline, and none is made while it is known dead.

    While it is open a call fails at once. One that comes when the pause is over starts the probe in
    the background and fails like the others, so nobody's request ever waits for a dead server.

    Args:
        name: the server's address without credentials, for errors.
        failures: exceptions that mean that the server failed.
        probe: asks the server something harmless.
        options: of the store.
        clock: seconds, monotonic.
        spread: gives the pause's share in [0, 1) that is added by chance, so that many processes
            do not probe together.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: tuple[type[Exception], ...],
        probe: Callable[[], Awaitable[object]],
        options: StoreOptions,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._name = name
        self._failures = failures
        self._probe_failures: tuple[type[Exception], ...] = (TimeoutError, *failures)
        self._probe = probe
        self._options = options
        self._clock = clock
        self._spread = spread
        self._failed = 0
        self._opened = 0
        self._retry_at_s = 0.0
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether calls fail at once."""
        return self._opened > 0

    def check(self) -> None:
        """Raise StoreUnavailable while the breaker is open."""
        if self._opened:
            self._consider_probe()
            raise StoreUnavailable(f"{self._name}: failed {self._failed} times, asked again soon")

    async def call(self, ask: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Ask the server.

        Args:
            ask: makes the call; cancelling it must leave no reply behind.
            timeout_s: from now.

        Raises:
            StoreUnavailable: if it failed, was too slow, or was not asked.
        """
        self.check()
        try:
            async with asyncio.timeout(timeout_s):
                answer = await ask()
        except TimeoutError:
            self._count_failure()
            raise StoreUnavailable(f"{self._name}: no answer in {timeout_s:g} s") from None
        except self._failures as error:
            self._count_failure()
            # Its text is not ours: a server may put into it what it was sent.
            raise StoreUnavailable(f"{self._name}: {type(error).__name__}") from None
        self._failed = 0
        return answer

    async def close(self) -> None:
        """End a probe that is under way."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])

    def _count_failure(self) -> None:
        self._failed += 1
        if self._failed >= self._options.max_failures and not self._opened:
            self._pause()
            self._options.on_available(0)

    def _pause(self) -> None:
        self._opened += 1
        pause_s = self._options.retry_after_s * 2 ** min(self._opened - 1, 16)
        pause_s = min(pause_s, max(_LONGEST_PAUSE_S, self._options.retry_after_s))
        self._retry_at_s = self._clock() + pause_s * (1 + 0.2 * self._spread())

    def _consider_probe(self) -> None:
        is_probing = self._probing is not None and not self._probing.done()
        if not is_probing and self._clock() >= self._retry_at_s:
            self._probing = asyncio.create_task(self._try(), name="cache store probe")

    async def _try(self) -> None:
        try:
            async with asyncio.timeout(self._options.write_timeout_s):
                await self._probe()
        except self._probe_failures:
            self._pause()
            return
        self._failed = self._opened = 0
        self._options.on_available(1)
