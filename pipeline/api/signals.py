"""Signals: named facts about a text, computed on demand, at most once per exchange and text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

SignalFunction = Callable[[str], Awaitable[object]]


class Signals:
    """The signals of one exchange; every plugin that asks for the same one shares the result.

    Args:
        functions: name to coroutine function of the text, as plugins registered them.
    """

    __slots__ = ("_functions", "_tasks")

    def __init__(self, functions: Mapping[str, SignalFunction]) -> None:
        self._functions = functions
        self._tasks: dict[tuple[str, str], asyncio.Task[object]] = {}

    async def get(self, name: str, text: str) -> object:
        """Return the signal's value for the text.

        A caller that is cancelled leaves the computation running for the others.

        Raises:
            LookupError: no plugin registered a signal of that name.
        """
        # Late: whoever awaits has it loaded, and importing the API shall not cost it.
        import asyncio  # noqa: PLC0415

        key = (name, text)
        task = self._tasks.get(key)
        if task is None:
            function = self._functions.get(name)
            if function is None:
                raise LookupError(f"no plugin of this configuration registers a signal {name!r}")
            task = self._tasks[key] = asyncio.ensure_future(_run(function, text))
        return await asyncio.shield(task)

    def cancel(self) -> None:
        """Cancel what still runs; the host calls it when the exchange ends."""
        for task in self._tasks.values():
            task.cancel()


async def _run(function: SignalFunction, text: str) -> object:
    try:
        return await function(text)
    except (SystemExit, KeyboardInterrupt) as error:
        # Out of a task it would end the process.
        raise RuntimeError(f"a signal's function raised {type(error).__name__}") from error
