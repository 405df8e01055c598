"""Everything compiled from one config: routes with their chains, backends, dialects, signals."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from pipeline.api.exchange import Exchange
from pipeline.api.outcome import Outcome
from pipeline.api.provider import Backend, Provider
from pipeline.api.signals import SignalFunction
from pipeline.config.schema import Config, RouteConfig
from pipeline.config.source import Source
from pipeline.dialects.registry import Dialects
from pipeline.errors import ConfigError
from pipeline.host.chain import Chain
from pipeline.host.instances import Instance
from pipeline.host.plan import RoutePlan
from pipeline.host.routing import Matcher


class Observer(Protocol):
    """Sees exchanges end; metrics, logs and spans are made of it."""

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """See an exchange that ended."""

    def violation(self, kind: str) -> None:
        """See that Envoy broke the protocol, or a client reached a limit of it."""


class Silent:
    """An observer that notes nothing."""

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """Note nothing."""

    def violation(self, kind: str) -> None:
        """Note nothing."""


@dataclass(frozen=True, slots=True)
class Route:
    """A compiled route.

    Args:
        name: its name.
        config: its part of the config.
        matcher: what it matches.
        chain: its plugins.
        backends: with their providers, in order of priority.
        plan: what Envoy sends for it.
    """

    name: str
    config: RouteConfig
    matcher: Matcher
    chain: Chain
    backends: tuple[tuple[Backend, Provider], ...]
    plan: RoutePlan

    @property
    def folded(self) -> tuple[Backend, Provider] | None:
        """The backend whose attempt is prepared at router level, if there is only one."""
        return self.backends[0] if len(self.backends) == 1 else None


@dataclass(frozen=True)
class Runtime:
    """A compiled config.

    Args:
        config: the config.
        source: its document, for messages.
        instances: plugin instances by name.
        dialects: client API formats.
        providers: upstream API formats.
        signals: registered signal functions.
        routes: by name, in config order.
        routing_headers: request headers that any route matches on.
        pool: for blocking hooks.
    """

    config: Config
    source: Source
    instances: Mapping[str, Instance]
    dialects: Dialects
    providers: Mapping[str, Provider]
    signals: Mapping[str, SignalFunction]
    routes: Mapping[str, Route]
    routing_headers: frozenset[str]
    pool: ThreadPoolExecutor
    _started: list[Instance] = field(default_factory=list)
    _finishing: set[asyncio.Task[None]] = field(default_factory=set)

    @cached_property
    def candidates(self) -> Sequence[tuple[Matcher, Route]]:
        """Every route with its matcher, in config order."""
        return [(route.matcher, route) for route in self.routes.values()]

    @cached_property
    def routes_by_model(self) -> bool:
        """Whether any route matches on the model."""
        return any(route.matcher.model is not None for route in self.routes.values())

    @property
    def plans(self) -> dict[str, RoutePlan]:
        """What Envoy must send, by route."""
        return {name: route.plan for name, route in self.routes.items()}

    @property
    def default_urls(self) -> dict[str, str]:
        """Base URL of each provider."""
        return {name: provider.default_url for name, provider in self.providers.items()}

    async def startup(self) -> None:
        """Start every instance in list order.

        Raises:
            ConfigError: one failed; those already started are shut down.
        """
        for instance in self.instances.values():
            self._started.append(instance)
            if instance.has("startup"):
                try:
                    await _maybe(instance.hooks["startup"]())
                except (Exception, SystemExit) as error:
                    await self.shutdown()
                    message = f"startup failed: {type(error).__name__}: {error}"
                    raise ConfigError(
                        self.source.problem(("plugins", instance.name), message)
                    ) from error

    async def finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work to its end, even where who waits for it is cancelled; `shutdown` waits too."""
        task = asyncio.ensure_future(work)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        await asyncio.shield(task)

    async def shutdown(self) -> None:
        """Shut every started instance down in reverse order; one that fails stops no other."""
        if self._finishing:
            await asyncio.wait(self._finishing, timeout=self.config.server.drain)
        while self._started:
            instance = self._started.pop()
            if instance.has("shutdown"):
                with suppress(Exception, SystemExit):
                    await _maybe(instance.hooks["shutdown"]())
        self.pool.shutdown(wait=False, cancel_futures=True)


async def _maybe(result: Any) -> None:
    if inspect.isawaitable(result):
        await result
