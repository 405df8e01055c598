"""Hosts for tests without `await`: they share one event loop, which runs when one is used."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, Self

from pipeline.api import Plugin
from pipeline.testing.envoy import Wire
from pipeline.testing.exchanged import Exchanged
from pipeline.testing.host import INSTANCE, Host
from pipeline.testing.messages import Message


class PlainHost:
    """A started host, used without `await`.

    Args:
        host: the host.
        runner: runs its coroutines.
    """

    def __init__(self, host: Host, runner: asyncio.Runner) -> None:
        self.host = host
        self._runner = runner

    def send(
        self,
        request: Message,
        response: Message | str | None = None,
        *,
        wire: Wire = Wire(),  # noqa: B008 - frozen
    ) -> Exchanged:
        """Run one exchange; see `Host.send`."""
        return self._runner.run(self.host.send(request, response, wire=wire))

    def plugin(self, instance: str = INSTANCE) -> Plugin[Any]:
        """Return a plugin object."""
        return self.host.plugin(instance)


class Hosts:
    """Makes started hosts, and shuts all of them down at its own end."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._open = AsyncExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._runner:
            self._runner.run(self._open.aclose())

    def __call__(
        self,
        plugin: type[Plugin[Any]] | str,
        options: Mapping[str, Any] = {},
        **keys: Any,
    ) -> PlainHost:
        """Start a host with one route for everything and one plugin on it; see `Host.of`."""
        return self.of(Host.of(plugin, options, **keys))

    def of(self, host: Host) -> PlainHost:
        """Start a host."""
        self._runner.run(self._open.enter_async_context(host))
        return PlainHost(host, self._runner)
