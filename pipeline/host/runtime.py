"""Everything compiled from one config: routes with their chains, backends, dialects, signals."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from pipeline.api.dialect import Dialect
from pipeline.api.exchange import Exchange
from pipeline.api.outcome import Outcome
from pipeline.api.provider import Provider
from pipeline.api.signals import Reader, SignalFunction
from pipeline.config.schema import Config, RouteConfig
from pipeline.config.source import Source
from pipeline.dialects.registry import Dialects
from pipeline.errors import ConfigError
from pipeline.host.backends import Link
from pipeline.host.chain import Chain
from pipeline.host.inference import Models, unknown_signals
from pipeline.host.instances import Instance
from pipeline.host.models import models_of
from pipeline.host.plan import RoutePlan
from pipeline.host.routing import Matcher

_LOGGER = logging.getLogger(__name__)
_CONNECT_S = 10.0


class Observer(Protocol):
    """Sees exchanges end; metrics, logs and spans are made of it."""

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """See an exchange that ended."""

    def violation(self, kind: str) -> None:
        """See that Envoy broke the protocol, or a client reached a limit of it."""

    def dropped(self, backend: str, fields: Sequence[str]) -> None:
        """See that a backend was not sent fields which its provider cannot carry."""

    def held(self, instance: str, hook: str, held_s: float) -> None:
        """See that a plugin's hook held the event loop: every other exchange waited."""


class Silent:
    """An observer that notes nothing."""

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """Note nothing."""

    def violation(self, kind: str) -> None:
        """Note nothing."""

    def dropped(self, backend: str, fields: Sequence[str]) -> None:
        """Note nothing."""

    def held(self, instance: str, hook: str, held_s: float) -> None:
        """Note nothing."""


@dataclass(frozen=True, slots=True)
class Route:
    """A compiled route.

    Args:
        name: its name.
        config: its part of the config.
        matcher: what it matches.
        chain: its plugins.
        links: its backends, connected, in order of priority.
        plan: what Envoy sends for it.
        budget_s: the longest that its plugins may take over one message.
        reads_calls: every call is read at the router level, whatever becomes of it.
        translates_folded: answers may have to be translated at the router level.
    """

    name: str
    config: RouteConfig
    matcher: Matcher
    chain: Chain
    links: tuple[Link, ...]
    plan: RoutePlan
    budget_s: float
    reads_calls: bool
    translates_folded: bool

    @property
    def folded(self) -> Link | None:
        """The backend whose attempts are prepared at the router level, if there is such a one."""
        return self.links[0] if self.links and not self.plan.attempts else None

    def must_read(self, dialect: Dialect | None) -> bool:
        """Say whether the router level must read calls of a dialect."""
        if self.reads_calls:
            return True
        link = self.folded
        return link is not None and not link.connection.passes(dialect.name if dialect else None)

    def keeps_answers(self, dialect: Dialect | None) -> bool:
        """Say whether the router level leaves answers to calls of a dialect as they come."""
        link = self.folded
        return link is None or link.connection.keeps_answers(dialect.name if dialect else None)


@dataclass(frozen=True)
class Runtime:
    """A compiled config.

    Args:
        config: the config.
        source: its document, for messages.
        instances: plugin instances by name.
        dialects: client API formats.
        providers: upstream API formats.
        links: backends by name, connected.
        signals: registered signal functions.
        inference: the models, which compute all other signals; None where nothing asks any.
        routes: by name, in config order.
        routing_headers: request headers that any route matches on.
        pool: for blocking hooks.
    """

    config: Config
    source: Source
    instances: Mapping[str, Instance]
    dialects: Dialects
    providers: Mapping[str, Provider]
    links: Mapping[str, Link]
    signals: Mapping[str, SignalFunction]
    inference: Models | None
    routes: Mapping[str, Route]
    routing_headers: frozenset[str]
    pool: ThreadPoolExecutor
    _started: list[Instance] = field(default_factory=list)
    _asked: list[Models] = field(default_factory=list)
    _connected: list[Link] = field(default_factory=list)
    _finishing: set[asyncio.Task[None]] = field(default_factory=set)

    @cached_property
    def candidates(self) -> Sequence[tuple[Matcher, Route]]:
        """Every route with its matcher, in config order."""
        return [(route.matcher, route) for route in self.routes.values()]

    @cached_property
    def routes_by_model(self) -> bool:
        """Whether any route matches on the model."""
        return any(route.matcher.model is not None for route in self.routes.values())

    @cached_property
    def models(self) -> Mapping[str, str]:
        """Models that the config names, each with its owner."""
        return models_of(self.config)

    @property
    def reader(self) -> Reader | None:
        """Where signals that no plugin registered come from."""
        return self.inference.engines if self.inference is not None else None

    @property
    def plans(self) -> dict[str, RoutePlan]:
        """What Envoy must send, by route."""
        return {name: route.plan for name, route in self.routes.items()}

    async def startup(self) -> None:
        """Start the models, then every instance in list order.

        What another generation started goes on as it is.

        Raises:
            ConfigError: one failed; those already started are shut down.
        """
        if self.inference is not None:
            await self.inference.start(self.source)
            self._asked.append(self.inference)
        unknown = tuple(unknown_signals(self.instances, self.signals, self.reader, self.source))
        if unknown:
            await self.shutdown()
            raise ConfigError(*unknown)
        for instance in self.instances.values():
            self._started.append(instance)
            if instance.life.begin() and instance.has("startup"):
                try:
                    await _maybe(instance.hooks["startup"]())
                except (Exception, SystemExit) as error:
                    await self.shutdown()
                    message = f"startup failed: {type(error).__name__}: {error}"
                    raise ConfigError(
                        self.source.problem(("plugins", instance.name), message)
                    ) from error
        await self._connect()

    async def finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work to its end, even where who waits for it is cancelled; `shutdown` waits too."""
        task = asyncio.ensure_future(work)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        await asyncio.shield(task)

    async def shutdown(self) -> bool:
        """Shut every started instance down in reverse order; one that fails stops no other.

        One that another generation has as well goes on.

        Returns:
            whether any has ended.
        """
        has_ended = False
        if self._finishing:
            await asyncio.wait(self._finishing, timeout=self.config.server.drain)
        while self._connected:
            with suppress(Exception):
                await self._connected.pop().connection.close()
        while self._started:
            instance = self._started.pop()
            if not instance.life.end():
                continue
            has_ended = True
            if instance.has("shutdown"):
                with suppress(Exception, SystemExit):
                    await _maybe(instance.hooks["shutdown"]())
        while self._asked:
            await self._asked.pop().close()
        self.pool.shutdown(wait=False, cancel_futures=True)
        return has_ended

    async def _connect(self) -> None:
        self._connected.extend(self.links.values())
        started = [asyncio.ensure_future(_begun(link)) for link in self._connected]
        if started:
            # A token that is late, or never comes, is the business of who needs it.
            _, late = await asyncio.wait(started, timeout=_CONNECT_S)
            for task in late:
                task.cancel()


async def _begun(link: Link) -> None:
    try:
        await link.connection.start()
    except Exception as error:  # noqa: BLE001 - a provider's own code; requests will tell
        kind = type(error).__name__
        _LOGGER.warning("backend %r could not start: %s", link.backend.name, kind)


async def _maybe(result: Any) -> None:
    if inspect.isawaitable(result):
        await result
