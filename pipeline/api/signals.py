"""Signals: named facts about a text, computed on demand, at most once per exchange and text."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    import asyncio

    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

SignalFunction = Callable[[str], Awaitable[object]]
EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True)
class Label:
    """The class that a text belongs to.

    Args:
        name: the class; None where the model is too unsure to name one.
        probability: of the likeliest class, whether named or not.
    """

    name: str | None
    probability: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What models say of one text.

    Args:
        values: by signal: a unit vector, a probability, or a `Label`.
        tokens: of the text.
        unread: how many of them no model read, since the text is longer than they read.
    """

    values: Mapping[str, Vector | float | Label] = field(default_factory=dict)
    tokens: int = 0
    unread: int = 0


class Reader(Protocol):
    """The models of this configuration."""

    @property
    def names(self) -> Collection[str]:
        """The signals that they compute."""

    def passes(self, names: Iterable[str]) -> Iterable[Collection[str]]:
        """Part signals, each of which they compute, into those that one pass gives."""

    def fingerprint(self, name: str) -> str:
        """Return which model computes a signal; empty where none does, or it is not known yet."""

    async def read(self, text: str, names: Collection[str], deadline_s: float) -> Facts:
        """Compute signals of a text that one pass gives.

        Args:
            text: any.
            names: of the signals.
            deadline_s: monotonic time after which nobody waits.
        """


class Signals:
    """The signals of one exchange; every plugin that asks for the same one shares the result.

    A signal is a function that a plugin registered or, where none did, what a model computes.

    Args:
        functions: name to coroutine function of the text, as plugins registered them.
        reader: the models; None where the configuration has none.
        deadline_s: monotonic time after which nobody waits for a model; the host moves it on.
    """

    __slots__ = ("_functions", "_reader", "_tasks", "_unread", "deadline_s")

    def __init__(
        self,
        functions: Mapping[str, SignalFunction],
        reader: Reader | None = None,
        deadline_s: float = float("inf"),
    ) -> None:
        self.deadline_s = deadline_s
        self._functions = functions
        self._reader = reader
        self._tasks: dict[tuple[str, str], asyncio.Task[object]] = {}
        self._unread: dict[str, int] = {}

    @property
    def unread(self) -> int:
        """Tokens that no model read of the texts asked about so far: they were too long."""
        return sum(self._unread.values())

    async def get(self, name: str, text: str) -> object:
        """Return the signal's value for the text.

        A caller that is cancelled leaves the computation running for the others.

        Raises:
            LookupError: no plugin registered a signal of that name, and no model computes it.
        """
        # Late: whoever awaits has it loaded, and importing the API shall not cost it.
        import asyncio  # noqa: PLC0415

        task = self._tasks.get((name, text))
        if task is None:
            self._begin(text, (name,))
            task = self._tasks.get((name, text))
            if task is None:
                raise LookupError(self._unknown(name))
        value = await asyncio.shield(task)
        return value.values[name] if isinstance(value, Facts) else value

    async def embedding(self, text: str, *, name: str = EMBEDDING) -> Vector:
        """Return the text's embedding: (d,) float32 of unit length; nobody writes to it.

        Args:
            text: any.
            name: of the signal, where a model of your own computes it.

        Raises:
            LookupError: nothing computes it.
            TypeError: the signal is of another kind.
        """
        value = await self.get(name, text)
        if len(getattr(value, "shape", ())) != 1:
            raise TypeError(f"signal {name!r} is no embedding: {type(value).__name__}")
        return cast("Vector", value)

    async def score(self, name: str, text: str) -> float:
        """Return a probability, for instance that of `jailbreak`.

        Raises:
            LookupError: nothing computes it.
            TypeError: the signal is of another kind.
        """
        value = await self.get(name, text)
        if not isinstance(value, Real):
            raise TypeError(f"signal {name!r} is no score: {type(value).__name__}")
        return float(value)

    async def label(self, name: str, text: str) -> Label:
        """Return the class that the text belongs to, for instance by `domain`.

        Raises:
            LookupError: nothing computes it.
            TypeError: the signal is of another kind.
        """
        value = await self.get(name, text)
        if not isinstance(value, Label):
            raise TypeError(f"signal {name!r} is no label: {type(value).__name__}")
        return value

    def fingerprint(self, name: str) -> str:
        """Return which model computes a signal, for a store that keeps what it gave.

        Vectors of two models have nothing in common: they may be compared only where this is the
        same.

        Returns:
            The tier or the model's name in the config with the begin of its hash
            (`small@53aa51172d14`); of another server's model its name and version. Empty where a
            plugin computes it or nothing does, and for as long as no node has told.
        """
        if name in self._functions or self._reader is None:
            return ""
        return self._reader.fingerprint(name)

    def prefetch(self, wanted: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Begin to compute what will be asked for, all that a model says of a text at once.

        What nothing computes is left to whoever asks for it.

        Args:
            wanted: texts and the names of their signals.
        """
        names_of: dict[str, dict[str, None]] = {}
        for text, names in wanted:
            names_of.setdefault(text, {}).update(dict.fromkeys(names))
        for text, its in names_of.items():
            self._begin(text, [name for name in its if (name, text) not in self._tasks])

    def cancel(self) -> None:
        """Cancel what still runs; the host calls it when the exchange ends."""
        for task in self._tasks.values():
            task.cancel()

    def _begin(self, text: str, names: Iterable[str]) -> None:
        computed = self._reader.names if self._reader is not None else ()
        to_read = []
        for name in names:
            function = self._functions.get(name)
            if function is not None:
                self._tasks[name, text] = _task(_run(function, text))
            elif name in computed:
                to_read.append(name)
        if self._reader is not None and to_read:
            for group in self._reader.passes(to_read):
                task = _task(self._read(self._reader, text, group))
                self._tasks.update(((name, text), task) for name in group)

    async def _read(self, reader: Reader, text: str, names: Collection[str]) -> object:
        facts = await reader.read(text, names, self.deadline_s)
        if facts.unread:
            self._unread[text] = max(facts.unread, self._unread.get(text, 0))
        return facts

    def _unknown(self, name: str) -> str:
        known = sorted({*self._functions, *(self._reader.names if self._reader else ())})
        there_are = f"there are {', '.join(known)}" if known else "there are none"
        return f"no plugin registers a signal {name!r} and no model computes it; {there_are}"


def _task(work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
    import asyncio  # noqa: PLC0415 as above

    task = asyncio.ensure_future(work)
    task.add_done_callback(_looked_at)
    return task


def _looked_at(task: asyncio.Task[object]) -> None:
    # What was begun in advance may fail with nobody asking for it.
    if not task.cancelled():
        task.exception()


async def _run(function: SignalFunction, text: str) -> object:
    try:
        return await function(text)
    except (SystemExit, KeyboardInterrupt) as error:
        # Out of a task it would end the process.
        raise RuntimeError(f"a signal's function raised {type(error).__name__}") from error
