"""Time and names under control: a clock that a test sets, a loop that never waits, counted ids."""

from __future__ import annotations

import asyncio
import itertools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Clock:
    """Monotonic seconds that pass when a test says so.

    Args:
        start_s: the time at first.
    """

    def __init__(self, start_s: float = 1000.0) -> None:
        self.now_s = start_s

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds


def counted_ids(prefix: str = "test") -> Callable[[], str]:
    """Return a maker of ids that are the same in every run: `test-1`, then `test-2`."""
    numbers = itertools.count(1)
    return lambda: f"{prefix}-{next(numbers)}"


class _Leaping(selectors.DefaultSelector):
    """A selector that moves a clock on instead of waiting."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:  # only something outside of the loop can wake it
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self._clock.advance(timeout)
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: Clock) -> None:
        super().__init__(_Leaping(clock))
        self._clock = clock

    def time(self) -> float:
        return self._clock()


def run_at(clock: Clock, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop whose time is the clock's: a sleep of an hour takes no time.

    Threads know nothing of the clock: what waits for a `blocking` plugin may time out at once.
    """
    with asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner:
        return runner.run(work)
