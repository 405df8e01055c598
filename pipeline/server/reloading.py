"""Reloading the config while the host serves: what asks for it, and what came of it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from pipeline.config.identity import content_hash, secret_files
from pipeline.config.load import load_config
from pipeline.config.schema import Config
from pipeline.config.source import Source
from pipeline.errors import ConfigError, Problem
from pipeline.observability.logs import get_logger
from pipeline.server.fixed import fixed_problems
from pipeline.server.watching import POLL_S, Watch

Result = Literal["applied", "unchanged", "refused"]
OnGeneration = Callable[[Config, Source], Awaitable[str]]
"""Lets Envoy follow a switch; returns why Envoy keeps what it had, nothing where it follows."""


@dataclass(frozen=True, slots=True)
class Running:
    """The config that serves new exchanges.

    Args:
        config, source: it and its document.
        generation: its number.
        content_hash: of its content.
        loaded_at_s: since the epoch.
    """

    config: Config
    source: Source
    generation: int
    content_hash: str
    loaded_at_s: float

    def detail(self) -> dict[str, Any]:
        """Return what is shown of it."""
        return {
            "generation": self.generation,
            "hash": self.content_hash,
            "loaded_at": _written(self.loaded_at_s),
        }


class Host(Protocol):
    """Whose config it is."""

    @property
    def running(self) -> Running:
        """What runs now."""

    async def replace_config(self, wanted: Running) -> list[str]:
        """Start the config's new plugins, then serve with it.

        Returns:
            what must change in Envoy's configuration.

        Raises:
            ConfigError: it cannot be used, and nothing has changed.
        """

    def envoy_followed(self) -> None:
        """See that Envoy's configuration fits the config; told only with an `OnGeneration`."""


class Meter(Protocol):
    """Counts reloads."""

    def reloaded(self, result: str) -> None:
        """See one end."""

    def envoy_generation(self, generation: int) -> None:
        """See that a generation changed Envoy's part."""

    def envoy_updated(self, result: str) -> None:
        """See that Envoy was handed its part, and what came of it: `taken` or `refused`."""


class Reloader:
    """Reads a config's file again when it changed or SIGHUP asks, one attempt at a time.

    Requests that come during an attempt are one further attempt.

    Args:
        path: the file.
        host: whose config it is.
        meter: counts.
        clock: seconds since the epoch.
        on_generation: keeps Envoy in step; without it the log says what must change there.
        environment: what `${VAR}` is replaced from.
        poll_s: how often files are looked at.
    """

    def __init__(
        self,
        path: Path,
        host: Host,
        meter: Meter,
        clock: Callable[[], float],
        on_generation: OnGeneration | None = None,
        environment: Mapping[str, str] = os.environ,
        poll_s: float = POLL_S,
    ) -> None:
        self._path = path
        self._host = host
        self._meter = meter
        self._clock = clock
        self._on_generation = on_generation
        self._environment = environment
        self._secrets: list[Path] = []
        self._watch = Watch(lambda: [path, *self._secrets], poll_s)
        self._asked = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._last_error: dict[str, Any] | None = None
        self._envoy: dict[str, Any] = {"generation": host.running.generation}
        if on_generation is None:
            self._envoy["changes"] = []
        else:
            self._envoy["refused"] = None

    def hear(self) -> None:
        """Take SIGHUP for a request, which `start` begins to serve; else it ends the process."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.request)

    def start(self) -> None:
        """Serve requests, and follow the file if the config wants that."""
        running = self._host.running
        self._meter.envoy_generation(running.generation)
        self._secrets = secret_files(running.source)
        self._tasks.append(asyncio.create_task(self._serve()))
        if running.config.server.reload == "watch":
            self._tasks.append(asyncio.create_task(self._follow(running.content_hash)))

    async def stop(self) -> None:
        """Heed nothing more; an attempt that is under way is given up."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def request(self) -> None:
        """Ask for an attempt."""
        self._asked.set()

    def detail(self) -> dict[str, Any]:
        """Return what came of the last attempt, for people who look at the host."""
        return {"last_error": self._last_error, "envoy": self._envoy}

    async def reload(self) -> Result:
        """Read the file again and serve with it, unless it is the same or cannot be used."""
        result: Result = "refused"
        try:
            result = await self._attempt()
        except ConfigError as error:
            self._refused(*error.problems)
        except Exception as error:  # noqa: BLE001 - whatever it is, the old config goes on
            get_logger().error("a reload failed", exc_info=error)
            kind = type(error).__name__
            self._refused(Problem("", f"the reload failed: {kind}", str(self._path)))
        else:
            self._last_error = None
        self._meter.reloaded(result)
        return result

    async def _attempt(self) -> Result:
        config, source, found_hash, secrets = await asyncio.to_thread(
            _load, self._path, self._environment
        )
        # Of a file that may not be used in the end too: it is looked at until it can be.
        self._secrets = secrets
        running = self._host.running
        facts = {"generation": running.generation, "hash": running.content_hash}
        if found_hash == running.content_hash:
            get_logger().info("config unchanged", **facts)
            return "unchanged"
        problems = fixed_problems(running.config, config, source)
        if problems:
            raise ConfigError(*problems)
        number = running.generation + 1
        wanted = Running(config, source, number, found_hash, self._clock())
        changes = await self._host.replace_config(wanted)
        get_logger().info("config reloaded", generation=number, hash=found_hash)
        if changes:
            self._meter.envoy_generation(number)
        if self._on_generation is not None:
            await self._tell(self._on_generation, wanted)
        elif changes:
            self._envoy = {"generation": number, "changes": changes}
            get_logger().warning("envoy must be configured anew", changes=changes)
        return "applied"

    async def _tell(self, on_generation: OnGeneration, now: Running) -> None:
        try:
            refused = await on_generation(now.config, now.source)
        except Exception as error:  # noqa: BLE001 - Envoy goes on as it did
            get_logger().error("envoy was not told of the config", exc_info=error)
            refused = f"it was not told: {type(error).__name__}"
        self._meter.envoy_updated("refused" if refused else "taken")
        if refused:
            self._envoy = {**self._envoy, "refused": refused}
        else:
            self._envoy = {"generation": now.generation, "refused": None}
            self._host.envoy_followed()

    def _refused(self, *problems: Problem) -> None:
        texts = [str(problem) for problem in problems]
        self._last_error = {"at": _written(self._clock()), "problems": texts}
        running = self._host.running
        get_logger().error(
            "config not reloaded",
            problems=texts,
            generation=running.generation,
            hash=running.content_hash,
        )

    async def _serve(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            await self.reload()

    async def _follow(self, started_hash: str) -> None:
        seen = await self._watch.look()
        if not await asyncio.to_thread(_is_same, self._path, self._environment, started_hash):
            self._asked.set()  # it changed while plugins started
        while True:
            seen = await self._watch.changed(seen)
            self._asked.set()


def config_detail(running: Running, reloader: Reloader | None) -> dict[str, Any]:
    """Return what readiness tells of the config."""
    return {**running.detail(), **(reloader.detail() if reloader is not None else {})}


def _load(path: Path, environment: Mapping[str, str]) -> tuple[Config, Source, str, list[Path]]:
    config, source = load_config(path, environment)
    return config, source, content_hash(source), secret_files(source)


def _is_same(path: Path, environment: Mapping[str, str], running_hash: str) -> bool:
    try:
        return _load(path, environment)[2] == running_hash
    except ConfigError:
        return False


def _written(since_epoch_s: float) -> str:
    return datetime.fromtimestamp(since_epoch_s, UTC).isoformat(timespec="seconds")
