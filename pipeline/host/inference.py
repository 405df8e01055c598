"""The models of a configuration: made with it where it asks any, and kept over its reloads."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.api.call import Call
from pipeline.api.exchange import Exchange
from pipeline.api.plugin import Plugin
from pipeline.api.signals import Label, Reader
from pipeline.config.load import located
from pipeline.config.schema import Config
from pipeline.config.source import Source
from pipeline.errors import ConfigError, InferenceError, Problem
from pipeline.host.instances import Instance, Life
from pipeline.host.ledger import Ledger

if TYPE_CHECKING:
    from pipeline.inference.engines import Engines

# The name of the step under which a failed `wanted_signals` stands in the record.
_STEP = "wanted_signals"
LANGUAGE = "language"


@dataclass(frozen=True, slots=True)
class Models:
    """The models of one configuration, or of several generations of it.

    Args:
        engines: compute signals.
        life: of the engines.
    """

    engines: Engines
    life: Life = field(default_factory=Life)

    async def start(self, source: Source) -> None:
        """Load them and warm them up, unless another generation has.

        Raises:
            ConfigError: one cannot serve.
        """
        if not self.life.begin():
            return
        try:
            await self.engines.start()
        except (ConfigError, InferenceError) as error:
            self.life.end()
            if isinstance(error, ConfigError):
                raise located(error, source) from error
            raise ConfigError(source.problem(("inference",), str(error))) from error

    async def close(self) -> None:
        """Give them back, unless another generation has them."""
        if self.life.end():
            await self.engines.close()


def asks_models(instances: Iterable[Instance], functions: Collection[str], source: Source) -> bool:
    """Say whether anything asks models.

    That is so where the config has the section, or a plugin names a signal that is no function.
    """
    return "inference" in source.values or any(
        set(one.plugin.signals).difference(functions) for one in instances
    )


def make_models(
    config: Config,
    source: Source,
    instances: Iterable[Instance],
    functions: Collection[str],
    running: Models | None,
    node: str | None,
) -> Models | None:
    """Return the models of a config, None where nothing asks any.

    Args:
        config: the config.
        source: its document.
        instances: its plugins.
        functions: names of the signals that plugins registered.
        running: those that run; the section is the same, for it cannot change by a reload.
        node: address of a process of this machine that has them for us, if there is one.

    Raises:
        ConfigError: one cannot be loaded as configured.
    """
    if running is not None or not asks_models(instances, functions, source):
        return running
    # Late: a configuration without models pays for none.
    from pipeline.inference.assembly import make_engines  # noqa: PLC0415

    try:
        return Models(make_engines(config.inference, source.folder, node))
    except ConfigError as error:
        raise located(error, source) from error


def unknown_signals(
    instances: Mapping[str, Instance],
    functions: Collection[str],
    reader: Reader | None,
    source: Source,
) -> Iterator[Problem]:
    """Return a problem for every plugin that names a signal which nothing computes."""
    known = {*functions, *(reader.names if reader is not None else ())}
    for name, instance in instances.items():
        unknown = sorted(set(instance.plugin.signals) - known)
        if unknown:
            wanted = ", ".join(map(repr, unknown))
            there = ", ".join(sorted(known)) or "none"
            message = f"asks for signals that nothing computes: {wanted}; there are: {there}"
            yield source.problem(("plugins", name), message)


async def language(text: str) -> Label:
    """Return the language of a text, as the signal `language`: no model is needed for it."""
    from pipeline.inference.language import language as found  # noqa: PLC0415

    return found(text)


def asking(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """Return the plugins that say beforehand what signals they will ask for."""
    return tuple(
        one
        for one in instances
        if one.plugin.signals or type(one.plugin).wanted_signals is not Plugin.wanted_signals
    )


def prefetch(exchange: Exchange, call: Call, instances: Iterable[Instance], ledger: Ledger) -> None:
    """Begin to compute what plugins will ask for, all of it together.

    Args:
        exchange: the call's.
        call: as its client wrote it.
        instances: those of the route that ask and run.
        ledger: notes who failed to say.
    """
    wanted: list[tuple[str, Sequence[str]]] = []
    for instance in instances:
        started_s = ledger.clock()
        try:
            wanted += instance.plugin.wanted_signals(call)
        except Exception as error:  # noqa: BLE001 - a stranger's code
            kind = type(error).__name__
            ledger.note_error(instance.name, _STEP, kind, started_s, applied=False)
    if wanted:
        exchange.signals.prefetch(wanted)
