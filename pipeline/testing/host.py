"""The host in process: a compiled config and exchanges through it, no Envoy and no socket."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from pipeline.api import Plugin
from pipeline.config.load import check_config
from pipeline.config.source import Source, parse_source
from pipeline.host.compile import compile_config
from pipeline.host.policy import Watcher
from pipeline.host.runtime import Observer, Runtime, Silent
from pipeline.host.session import Choice, RouterSession
from pipeline.testing.classes import uses_of
from pipeline.testing.clock import counted_ids
from pipeline.testing.documents import DEFAULT_DIALECT, DIALECTS, dialect_of
from pipeline.testing.envoy import FakeEnvoy, Wire
from pipeline.testing.exchanged import Exchanged
from pipeline.testing.messages import Message, answer_message, stream_message

INSTANCE = "plugin"
"""The instance's name in a host that is made of one plugin."""

Neighbour = type[Plugin[Any]]


def runtime_of(config: str | Mapping[str, Any], environment: Mapping[str, str] = {}) -> Runtime:
    """Compile a config, given as YAML or as what YAML would give.

    Raises:
        ConfigError: as `dragoman check` would report it.
    """
    if isinstance(config, str):
        source = parse_source(config, environment, file="dragoman.yaml")
    else:
        source = Source(None, dict(config))
    return compile_config(check_config(source), source)


def session_of(runtime: Runtime, observer: Observer | None = None) -> RouterSession:
    """Open a session for one exchange; every route of the config may be chosen."""
    choice = Choice(runtime.candidates)
    return RouterSession(
        runtime, choice, observer or Silent(), clock=time.monotonic, new_id=lambda: "test-id"
    )


class Host:
    """A host in process; as a context manager it starts its plugins and shuts them down.

    Args:
        config: the whole config, as YAML or as what YAML would give.
        environment: what `${…}` in it refers to.
        clock: monotonic seconds.
        new_id: makes the ids of exchanges; by default they are counted.

    Raises:
        ConfigError: as `dragoman check` would report it.
    """

    def __init__(
        self,
        config: str | Mapping[str, Any],
        *,
        environment: Mapping[str, str] = {},
        clock: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self.runtime = runtime_of(config, environment)
        self._clock = clock
        self._new_id = new_id or counted_ids()

    @classmethod
    def of(
        cls,
        plugin: type[Plugin[Any]] | str,
        options: Mapping[str, Any] = {},
        *,
        before: Sequence[Neighbour] = (),
        after: Sequence[Neighbour] = (),
        clock: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] | None = None,
        **keys: Any,
    ) -> Self:
        """Make a host with one route for everything and one plugin on it, named `plugin`.

        Args:
            plugin: the class, or what a config says after `uses:`.
            options: its `with:` block.
            before: classes of plugins that stand before it in the list.
            after: classes of plugins that stand behind it.
            clock: monotonic seconds.
            new_id: makes the ids of exchanges.
            keys: of the instance: `mode`, `on_error`, `timeout`, `when`.
        """
        uses = plugin if isinstance(plugin, str) else uses_of(plugin)
        instances = {
            **{f"before-{n}": {"uses": uses_of(one)} for n, one in enumerate(before)},
            INSTANCE: {"uses": uses, "with": dict(options), **keys},
            **{f"after-{n}": {"uses": uses_of(one)} for n, one in enumerate(after)},
        }
        routes = [{"name": "test", "other": "pass", "plugins": list(instances)}]
        return cls({"plugins": instances, "routes": routes}, clock=clock, new_id=new_id)

    async def __aenter__(self) -> Self:
        await self.runtime.startup()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.runtime.shutdown()

    def plugin(self, instance: str = INSTANCE) -> Plugin[Any]:
        """Return a plugin object."""
        return self.runtime.instances[instance].plugin

    def open(self, wire: Wire = Wire(), watcher: Watcher | None = None) -> FakeEnvoy:  # noqa: B008
        """Open a stream for one exchange."""
        return FakeEnvoy(
            self.runtime, wire, clock=self._clock, new_id=self._new_id, watcher=watcher
        )

    async def send(
        self,
        request: Message,
        response: Message | str | None = None,
        *,
        wire: Wire = Wire(),  # noqa: B008 - frozen
    ) -> Exchanged:
        """Run one exchange through the chain, from the client to the provider and back.

        Args:
            request: the client's.
            response: the provider's, or what its model says, streamed where the call asks for it.
            wire: Envoy's body modes, and how bodies are divided.
        """
        envoy = self.open(wire)
        dialect = self.dialect_name(request)
        upstream = answered = None
        try:
            upstream = await envoy.request(request)
            if upstream is not None:
                answered = response_to(upstream, response, dialect)
                client = await envoy.respond(answered)
            else:
                assert envoy.finish is not None  # noqa: S101 - the host answered
                client = envoy.finish
        finally:
            outcome = await envoy.close()
        return Exchanged(request, upstream, answered, client, outcome, envoy.metadata, dialect)

    def dialect_name(self, request: Message) -> str:
        """Return the name of the API format that a request's path speaks."""
        found = self.runtime.dialects.for_path(request.path.partition("?")[0])
        return found.name if found is not None and found.name in DIALECTS else DEFAULT_DIALECT


def response_to(request: Message, response: Message | str | None, dialect: str) -> Message:
    """Return what a provider answers to a request.

    Args:
        request: as it reaches the provider.
        response: the response, or what the model says in it.
        dialect: the API format.
    """
    if isinstance(response, Message):
        return response
    text = "Hello to you." if response is None else response
    if not request.body or request.path not in dialect_of(dialect).paths:
        return answer_message(text, dialect=dialect)
    call = request.document
    if call.get("stream") is True:
        words = [word + " " for word in text.split(" ")[:-1]] + text.split(" ")[-1:]
        return stream_message(*words, dialect=dialect, call=call)
    return answer_message(text, dialect=dialect)
