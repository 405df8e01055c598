"""Reading the texts of one call: bounded, each by itself, and none after its deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from pipeline.inference.contract import InferenceError, Reading, Source
from pipeline.inference.remote.client import MAX_TEXT_BYTES
from pipeline.inference.remote.serving import Asked

_MAX_HELD_BYTES = 64 * MAX_TEXT_BYTES


class Readable(Protocol):
    """What readings are asked of: an engine."""

    @property
    def source(self) -> Source:
        """Where they come from."""

    async def read(self, text: str, heads: Collection[str], deadline_s: float) -> Reading:
        """Return a reading; see `Source`."""


class Texts:
    """The texts that are being read now.

    Args:
        most: of them; what would exceed it is refused.
        held: is told how many there are.
    """

    def __init__(self, most: int, held: Callable[[int], None]) -> None:
        self._most = most
        self._tell = held
        self._held = 0
        self._held_bytes = 0

    async def read(
        self, engine: Readable, asked: Asked, deadline_s: float
    ) -> Sequence[Reading | InferenceError]:
        """Return what there is to say of each text of a call, in their order.

        Args:
            engine: of the model.
            asked: what was asked for.
            deadline_s: monotonic time after which nobody waits.

        Raises:
            InferenceError: there is no reading that could be told.
        """
        with self._holding(asked.texts):
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(_read(engine, text, asked.heads, deadline_s))
                    for text in asked.texts
                ]
        readings = [task.result() for task in tasks]
        errors = [reading for reading in readings if isinstance(reading, InferenceError)]
        if errors and (len(errors) == len(readings) or not asked.takes_codes):
            raise errors[0]
        return readings

    @contextmanager
    def _holding(self, texts: Sequence[str]) -> Iterator[None]:
        count, size_bytes = len(texts), sum(map(len, texts))
        # A call that is alone may exceed it: it has its own limits.
        is_many = self._held + count > self._most or self._held_bytes + size_bytes > _MAX_HELD_BYTES
        if self._held and is_many:
            raise InferenceError("too many texts are being read", "queue_full")
        self._hold(count, size_bytes)
        try:
            yield
        finally:
            self._hold(-count, -size_bytes)

    def _hold(self, count: int, size_bytes: int) -> None:
        self._held += count
        self._held_bytes += size_bytes
        self._tell(self._held)


async def _read(
    engine: Readable, text: str, heads: frozenset[str], deadline_s: float
) -> Reading | InferenceError:
    try:
        return await engine.read(text, heads, deadline_s)
    except InferenceError as error:
        return error
