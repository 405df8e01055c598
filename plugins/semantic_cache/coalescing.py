"""Coalescing: equal calls in flight wait for one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.api import Answer


class Flight:
    """A call that is under way, and what waits for it."""

    __slots__ = ("_landed", "answer", "waiting")

    def __init__(self) -> None:
        self._landed = asyncio.Event()
        self.answer: tuple[str, Answer] | None = None
        self.waiting = 0

    def land(self, entry: tuple[str, Answer] | None) -> None:
        """End the flight.

        Args:
            entry: the stored entry's id and its answer; None where nothing came that may be shared.
        """
        if not self._landed.is_set():
            self.answer = entry
            self._landed.set()

    async def wait(self, timeout_s: float) -> tuple[str, Answer] | None:
        """Wait for the end; None where it brought nothing, or not in time."""
        with self._counted():
            try:
                async with asyncio.timeout(timeout_s):
                    await self._landed.wait()
            except TimeoutError:
                return None
        return self.answer

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1


class Flights:
    """The calls of one plugin instance that are under way, by their exact hash."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}

    def join(self, exact: bytes) -> tuple[Flight, bool]:
        """Return the flight of a call, and whether the caller leads it.

        A leader ends it by `land`, whatever happens to its exchange.
        """
        flight = self._flights.get(exact)
        if flight is not None:
            return flight, False
        flight = self._flights[exact] = Flight()
        return flight, True

    def find(self, exact: bytes) -> Flight | None:
        """Return the flight of a call, None where none is under way."""
        return self._flights.get(exact)

    def land(self, exact: bytes, flight: Flight, entry: tuple[str, Answer] | None) -> None:
        """End a flight; the next equal call begins another."""
        if self._flights.get(exact) is flight:
            del self._flights[exact]
        flight.land(entry)

    def __len__(self) -> int:
        return len(self._flights)
