"""The hooks a plugin may have: the whole surface on one screen.

Write a method of that name, with those arguments or fewer, on a `Plugin` subclass.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import typer

    from pipeline.api.admin import RunningHost
    from pipeline.api.answer import Event
    from pipeline.api.decisions import Decision
    from pipeline.api.dialect import Dialect
    from pipeline.api.exchange import Exchange
    from pipeline.api.outcome import Outcome
    from pipeline.api.provider import Provider
    from pipeline.api.signals import SignalFunction

PROJECT = "dragoman"
hookspec = pluggy.HookspecMarker(PROJECT)


class Hooks:
    """The hook specifications."""

    # --- once per process, in list order of the config
    @hookspec
    def startup(self) -> Awaitable[None] | None:
        """Load what is needed; the process is ready only when every plugin has returned."""

    @hookspec
    def shutdown(self) -> Awaitable[None] | None:
        """Release it; called even after a failed `startup`, in reverse order.

        A reload of the config that changes nothing about the instance calls neither.
        """

    @hookspec
    def register_signals(self, register: Callable[[str, SignalFunction], None]) -> None:
        """Register named facts that any plugin may ask for."""

    @hookspec
    def register_providers(self, register: Callable[[str, Provider], None]) -> None:
        """Register upstream API formats for `backends`."""

    @hookspec
    def register_dialects(self, register: Callable[[str, Dialect], None]) -> None:
        """Register client API formats."""

    @hookspec
    def register_commands(
        self, register: Callable[[str, typer.Typer], None], host: RunningHost
    ) -> None:
        """Register sub-commands of `dragoman`; `host.ask` reaches the instance where it runs."""

    # --- per exchange: the request in list order, the response in reverse
    @hookspec
    def on_request_headers(self, exchange: Exchange) -> Decision | Awaitable[Decision] | None:
        """See the request's headers, before its body has come."""

    @hookspec
    def on_request(self, exchange: Exchange) -> Decision | Awaitable[Decision] | None:
        """See the whole LLM call; not called for what is no LLM call."""

    @hookspec
    def on_response_headers(self, exchange: Exchange) -> Decision | Awaitable[Decision] | None:
        """See the response's status and headers."""

    @hookspec
    def on_response_event(
        self, exchange: Exchange, event: Event
    ) -> Decision | Awaitable[Decision] | None:
        """See one complete event of a streamed answer; exactly one event `closes`."""

    @hookspec
    def on_response(self, exchange: Exchange) -> Decision | Awaitable[Decision] | None:
        """See the whole answer.

        A plugin that has this hook but not `on_response_event` gets streamed answers whole as
        well: the host holds the stream back for it, unless the plugin is `read_only`.
        """

    @hookspec
    def on_complete(self, exchange: Exchange, outcome: Outcome) -> Awaitable[None] | None:
        """Look back, after the client has its answer; called once, also after a failure.

        `exchange.response.answer` is there if a plugin saw the answer whole, and signals may still
        be asked for, within the instance's `timeout`.
        """
