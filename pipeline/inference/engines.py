"""Engines: several models side by side, each signal with the model that computes it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Iterable, Mapping

from pipeline.api.signals import Facts, Label
from pipeline.inference.contract import Head, Reading, Vector
from pipeline.inference.engine import Engine

# At the end of the identity of a model whose files were read, here or at a node of ours.
_DIGEST = re.compile(r"@([0-9a-f]{12})[0-9a-f]{4}\Z")


class Engines:
    """The models of a configuration; what `exchange.signals` reads from.

    Args:
        engines: by name, the tier's first. A later one takes over signals of those before it:
            a model of one's own replaces the tier's.
    """

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self.engines = engines

    @property
    def names(self) -> Collection[str]:
        """The signals that they compute."""
        return self._owners().keys()

    @property
    def heads(self) -> Mapping[str, Head]:
        """What each signal is, by its name."""
        return {name: engine.source.heads[name] for name, engine in self._owners().items()}

    async def start(self) -> None:
        """Start all of them, side by side; if one cannot, none stays started.

        Raises:
            InferenceError: one cannot serve.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for engine in self.engines.values():
                    group.create_task(engine.start())
        except BaseExceptionGroup as errors:
            await self.close()
            raise errors.exceptions[0] from errors
        except asyncio.CancelledError:
            await self.close()
            raise

    async def close(self) -> None:
        """Close all of them."""
        await asyncio.gather(*(engine.close() for engine in self.engines.values()))

    def passes(self, names: Iterable[str]) -> Iterable[Collection[str]]:
        """Part signals, each of which they compute, by the engine that computes them."""
        owners = self._owners()
        found: dict[Engine, list[str]] = {}
        for name in names:
            found.setdefault(owners[name], []).append(name)
        return found.values()

    def fingerprint(self, name: str) -> str:
        """Return which model computes a signal; see `Reader`."""
        for engine, one in reversed(list(self.engines.items())):
            if name in one.source.heads:
                digest = _DIGEST.search(one.source.identity)
                # Of another server's model its name and version, if it has one, are all there is.
                return f"{engine}@{digest[1]}" if digest else one.source.identity.rstrip(":")
        return ""

    async def read(self, text: str, names: Collection[str], deadline_s: float) -> Facts:
        """Compute signals of a text that one engine computes.

        Args:
            text: any.
            names: one group that `passes` gave.
            deadline_s: monotonic time after which nobody waits.

        Raises:
            InferenceError: they could not be had.
        """
        engine = self._owners()[next(iter(names))]
        reading = await engine.read(text, names, deadline_s)
        heads = engine.source.heads
        values = {name: _value(heads[name], reading) for name in names}
        return Facts(values, reading.tokens, reading.unread)

    def _owners(self) -> dict[str, Engine]:
        # Asked anew each time: a node that was away tells what it computes when it comes.
        return {name: one for one in self.engines.values() for name in one.source.heads}


def _value(head: Head, reading: Reading) -> Vector | float | Label:
    if head.kind == "score":
        return reading.scores[head.name]
    if head.kind == "labels":
        probabilities = reading.labels[head.name]
        best = int(probabilities.argmax())
        probability = float(probabilities[best])
        is_sure = probability >= head.abstain_below
        return Label(head.labels[best] if is_sure else None, probability)
    if reading.embedding is None:
        raise LookupError(f"the reading has no {head.name!r}")
    return reading.embedding
