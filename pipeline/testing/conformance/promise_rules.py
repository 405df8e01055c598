"""Rules about promises: a plugin does what it declares, and changes nothing in another way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from pipeline.api import Event, Exchange, Plugin, PluginConfig
from pipeline.testing.conformance.faults import FAULT, with_faults
from pipeline.testing.conformance.subject import (
    NotApplicable,
    Subject,
    essence,
    require,
)
from pipeline.testing.cuts import seeded
from pipeline.testing.envoy import Wire
from pipeline.testing.exchanged import Exchanged
from pipeline.testing.host import Host

_REPORTS = {"x-dragoman-plugins", "x-dragoman-overhead-ms", "server-timing"}


async def read_only(subject: Subject) -> None:
    """A plugin that declares `read_only` returns no `Rewrite`.

    Its neighbours run beside it because of what it declares; the host takes the rewrite for a
    failure.
    """
    if not subject.plugin.read_only:
        raise NotApplicable("it does not declare itself read-only")
    for case in subject.cases():
        async with subject.host() as host:
            got = await host.send(case.request, case.response)
        for step in got.steps:
            broken = step.decision == "rewrite" or step.reason == "plugin_nonsense"
            require(not broken, f"{case.name}: it rewrote in {step.hook}")


class _Neighbour(Plugin[PluginConfig]):
    """Stands beside the plugin under test and sees all that it is given."""

    def __init__(self, config: PluginConfig, *, name: str) -> None:
        super().__init__(config, name=name)
        self.seen: list[tuple[str, Any, str]] = []

    def on_request_headers(self, exchange: Exchange) -> None:
        self._see("the request's headers", exchange.request, repr(exchange.request.headers.pairs))

    def on_request(self, exchange: Exchange) -> None:
        if exchange.call is not None:
            self._see("the call", exchange.call, _fingerprint(exchange.call))

    def on_response_headers(self, exchange: Exchange) -> None:
        self._see("the response's headers", exchange.response, _fingerprint(exchange.response))

    def on_response_event(self, event: Event) -> None:
        self._see("an event", event, _fingerprint(event))

    def _see(self, what: str, thing: Any, looks: str) -> None:
        self.seen.append((what, thing, looks))


class _Reader(_Neighbour):
    """The same, for answers that come whole."""

    def on_response(self, exchange: Exchange) -> None:
        answer = exchange.response.answer if exchange.response is not None else None
        if answer is not None:
            self._see("the answer", answer, _fingerprint(answer))


def _fingerprint(thing: Any) -> str:
    match thing:
        case Event(raw=raw, name=name, data=data, closes=closes):
            return repr((raw, name, json.dumps(data), closes))
        case _ if hasattr(thing, "document"):
            return json.dumps(dict(thing.document))
        case _:
            return repr(getattr(getattr(thing, "headers", None), "pairs", None))


async def nothing_mutated(subject: Subject) -> None:
    """A hook never changes what it is given; it returns a decision.

    Others hold the same objects. What is changed in place is in no diff, no shadow mode and no
    `explain`, and reaches some of the chain but not all.
    """
    for case in subject.cases():
        host = subject.host(before=(_Reader,), after=(_Reader,))
        async with host:
            await host.send(case.request, case.response)
            for name in ("before-0", "after-0"):
                neighbour = host.plugin(name)
                assert isinstance(neighbour, _Reader)  # noqa: S101 - as configured
                for what, thing, looked in neighbour.seen:
                    if what == "the request's headers":
                        now = repr(thing.headers.pairs)
                    else:
                        now = _fingerprint(thing)
                    require(now == looked, f"{case.name}: {what} was changed in place")


async def shadow(subject: Subject) -> None:
    """In shadow mode nobody can tell that the plugin is there.

    Shadow mode is how an operator tries a plugin on live traffic.
    """
    for case in subject.cases():
        for wire in (Wire(), Wire(cut=seeded(1))):
            async with subject.host(mode="shadow") as host:
                with_it = await host.send(case.request, case.response, wire=wire)
            async with Host.of(_Absent) as host:
                without = await host.send(case.request, case.response, wire=wire)
            require(essence(with_it) == essence(without), f"{case.name}: its shadow changed bytes")
            same = list(_headers(with_it)) == list(_headers(without))
            require(same, f"{case.name}: its shadow changed headers")


class _Absent(Plugin[PluginConfig]):
    """Makes the host read as much as any plugin may want, and does nothing."""

    def on_request(self) -> None:
        """Do nothing."""

    def on_response_event(self) -> None:
        """Do nothing."""

    def on_response(self) -> None:
        """Do nothing."""


def _headers(got: Exchanged) -> Iterator[tuple[str, bytes]]:
    for message in (got.upstream, got.client):
        if message is not None:
            yield from (pair for pair in message.pairs if pair[0] not in _REPORTS)


async def fail_policy(subject: Subject) -> None:
    """What fails inside a hook ends as `on_error` says: `open` goes on unchanged, `closed` refuses.

    A plugin that catches everything and returns nothing fails open whatever the config says.
    """
    for case in subject.cases():
        async with with_faults(subject.host(on_error="closed")) as (host, faults):
            got = await host.send(case.request, case.response)
        if not faults.raised:
            continue
        refused = any(s.decision in {"refuse", "error"} and s.applied for s in got.steps)
        require(refused, f"{case.name}: it fails open although it shall fail closed")
        async with with_faults(subject.host(on_error="open")) as (host, faults):
            got = await host.send(case.request, case.response)
        refusals = [s for s in got.steps if s.decision == "refuse" and s.applied]
        require(not refusals, f"{case.name}: it refuses on a fault although it shall fail open")
        quoted = FAULT.encode() in got.client.body
        require(not quoted, f"{case.name}: it tells the client the text of an exception")


async def apart(subject: Subject) -> None:
    """Exchanges at the same time do not mix: each ends as it would alone.

    One plugin object serves all exchanges of a process. What belongs to one of them belongs in
    `exchange.state(self)`, never in `self`.
    """
    cases = list(subject.cases())
    expected = []
    for case in cases:
        async with subject.host() as host:
            expected.append(essence(await host.send(case.request, case.response)))
    async with subject.host() as host:
        sent = [host.send(case.request, case.response) for case in cases]
        results = await asyncio.gather(*sent)
    for case, got, alone in zip(cases, results, expected, strict=True):
        require(essence(got) == alone, f"{case.name}: it ends otherwise beside other exchanges")
