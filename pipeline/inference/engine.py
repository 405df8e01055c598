"""The engine: readings of one model, each computed once for all who ask for it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from pipeline.inference.contract import InferenceError, Reading, Source
from pipeline.inference.memory import Known, Memory, key_of
from pipeline.inference.pooling import merge


@dataclass(slots=True)
class Counts:
    """What an engine has done, for metrics; they only grow."""

    texts: int = 0
    """Readings asked for."""

    hits: int = 0
    """Those that were remembered, all of them."""

    coalesced: int = 0
    """Those that waited for a computation which somebody else began."""

    computed: int = 0
    """Computations begun."""

    cancelled: int = 0
    """Those that nobody waited for any more."""

    tokens: int = 0
    """Of the texts that were computed."""

    unread_tokens: int = 0
    """How many of those the model did not read."""

    refused: Counter[str] = field(default_factory=Counter)
    """Readings that could not be had, by the code of the error."""


class _Flight:
    """One computation under way, and how many wait for it."""

    __slots__ = ("deadline_s", "heads", "task", "waiters")

    def __init__(
        self, heads: frozenset[str], deadline_s: float, task: asyncio.Task[Reading]
    ) -> None:
        self.heads = heads
        self.deadline_s = deadline_s
        self.task = task
        self.waiters = 0


class Engine:
    """Shares the readings of a source: of texts read lately, and of texts being read now.

    Each head of a text is computed by one computation at a time: whoever asks waits for those
    that compute what he lacks, and begins one for what none does. A computation ends early only
    when all who waited for it have gone.

    Args:
        source: where readings come from.
        max_bytes: of the readings that are remembered.
        timeout_s: how long one reading may take at most.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        source: Source,
        *,
        max_bytes: int,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self.memory = Memory(max_bytes)
        self.counts = Counts()
        self._timeout_s = timeout_s
        self._clock = clock
        self._flights: dict[bytes, list[_Flight]] = {}

    async def start(self) -> None:
        """Start the source; see `Source`."""
        await self.source.start()

    async def close(self) -> None:
        """Close the source: who waits gets an error."""
        await self.source.close()

    async def read(self, text: str, heads: Collection[str], deadline_s: float) -> Reading:
        """Return a reading of a text that has these heads, and maybe others.

        Args:
            text: any.
            heads: names of the source's heads.
            deadline_s: monotonic time after which the caller does not wait.

        Raises:
            InferenceError: it could not be had.
            LookupError: the source has no such head.
        """
        self.counts.texts += 1
        key = key_of(self.source.identity, text)
        known = self.memory.get(key)
        wanted = frozenset(heads)
        if wanted <= known.heads:
            self.counts.hits += 1
            return known.reading
        deadline_s = min(deadline_s, self._clock() + self._timeout_s)
        try:
            while not wanted <= known.heads:
                known = await self._learn(key, text, wanted, known, deadline_s)
        except InferenceError as error:
            self.counts.refused[error.code] += 1
            raise
        return known.reading

    async def _learn(
        self, key: bytes, text: str, wanted: frozenset[str], known: Known, deadline_s: float
    ) -> Known:
        """Return what is known and what is being computed, which may still lack something."""
        flights = self._join(key, text, wanted - known.heads, deadline_s)
        try:
            left_s = max(0.0, deadline_s - self._clock())
            await asyncio.wait([flight.task for flight in flights], timeout=left_s)
        finally:
            self._leave(key, flights)
        for flight in flights:
            reading = self._outcome(flight, deadline_s)
            if reading is not None and not known.heads:
                known = Known(reading, flight.heads)
            elif reading is not None:
                known = Known(merge(known.reading, reading), known.heads | flight.heads)
        return known

    def _outcome(self, flight: _Flight, deadline_s: float) -> Reading | None:
        """Return what came of it; None where it ended with a deadline that was not ours.

        Raises:
            InferenceError: it failed, or it is too late.
        """
        task = flight.task
        if not task.done():
            raise InferenceError("the text was not read in time", "deadline")
        if task.cancelled():
            raise InferenceError("the reading was cancelled", "unavailable")
        error = task.exception()
        if error is None:
            return task.result()
        if not isinstance(error, InferenceError):
            raise error
        if error.code == "deadline" and flight.deadline_s < deadline_s:
            return None
        # One of its own for each who waited: an error carries the trace of where it was raised.
        raise InferenceError(str(error), error.code) from error

    def _join(
        self, key: bytes, text: str, lacking: frozenset[str], deadline_s: float
    ) -> list[_Flight]:
        """Return the computations that give what lacks, one more of them if need be."""
        under_way = self._flights.setdefault(key, [])
        joined = [
            flight
            for flight in under_way
            if not flight.task.done() and not lacking.isdisjoint(flight.heads)
        ]
        if joined:
            self.counts.coalesced += 1
        rest = lacking.difference(*(flight.heads for flight in joined))
        if rest:
            task = asyncio.ensure_future(self._compute(key, text, rest, deadline_s))
            task.add_done_callback(_looked_at)
            flight = _Flight(rest, deadline_s, task)
            under_way.append(flight)
            joined.append(flight)
        for flight in joined:
            flight.waiters += 1
        return joined

    def _leave(self, key: bytes, flights: Iterable[_Flight]) -> None:
        for flight in flights:
            flight.waiters -= 1
            if not flight.waiters and not flight.task.done():
                self.counts.cancelled += 1
                flight.task.cancel()
            elif not flight.task.done():
                continue
            under_way = self._flights.get(key, [])
            if flight in under_way:
                under_way.remove(flight)
        if not self._flights.get(key):
            self._flights.pop(key, None)

    async def _compute(
        self, key: bytes, text: str, heads: frozenset[str], deadline_s: float
    ) -> Reading:
        self.counts.computed += 1
        reading = await self.source.read(text, heads, deadline_s)
        self.counts.tokens += reading.tokens
        self.counts.unread_tokens += reading.unread
        self.memory.add(key, reading, heads)
        return reading


def _looked_at(task: asyncio.Task[Reading]) -> None:
    # Who would have asked for its error may have gone.
    if not task.cancelled():
        task.exception()
