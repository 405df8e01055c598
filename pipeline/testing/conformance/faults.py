"""Faults to inject: texts that cannot be read, as if what a plugin depends on were gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

from pipeline.api import Dialect
from pipeline.dialects.registry import Dialects
from pipeline.testing.host import Host

FAULT = "an injected fault"
_READING = frozenset({"segments", "answer_segments", "event_segments", "tool_calls", "tools"})


class InjectedFault(RuntimeError):
    """Raised in the place of a text."""


class Faults:
    """Notes that a fault was raised."""

    def __init__(self) -> None:
        self.raised = False


class _Faulty:
    """A dialect that checks, forwards and words errors, but cannot find a text."""

    def __init__(self, dialect: Dialect, faults: Faults) -> None:
        self._dialect = dialect
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._dialect, name)
        if name in _READING:
            return self._fail
        if name == "decode_event":
            # Its events would be read through the dialect that decoded them.
            return self._decoded
        return found

    def _fail(self, *_: object) -> Any:
        self._faults.raised = True
        raise InjectedFault(FAULT)

    def _decoded(self, raw: bytes, name: str, data: str | None) -> Any:
        event = self._dialect.decode_event(raw, name, data)
        made = type(event)
        dialect = cast("Dialect", self)
        return made(dialect, event.raw, name=event.name, data=event.data, closes=event.closes)


@asynccontextmanager
async def with_faults(host: Host) -> AsyncIterator[tuple[Host, Faults]]:
    """Start a host in which no plugin can read a text, and shut it down."""
    faults = Faults()
    known = host.runtime.dialects
    faulty = [_Faulty(dialect, faults) for n in known.names if (dialect := known.by_name(n))]
    host.runtime = replace(host.runtime, dialects=Dialects(cast("list[Dialect]", faulty)))
    async with host:
        yield host, faults
