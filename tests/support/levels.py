"""Exchanges at the router level, and attempts at theirs, with a provider of another format."""

from __future__ import annotations

import gzip
import itertools
import json
from dataclasses import dataclass

from pipeline.api import Headers
from pipeline.api.sse import FrameDecoder
from pipeline.host.attempt import AttemptSession
from pipeline.host.names import HOST_METADATA
from pipeline.host.session import Choice, RouterSession
from pipeline.host.verdicts import Finish, Pairs
from pipeline.testing.clock import Clock, counted_ids
from tests.support.chain import Seen, document_with
from tests.support.host import VIA_UPSTREAM, runtime_of

CALL = {"model": "m", "messages": [{"role": "user", "content": "ping"}]}
STREAMED = {**CALL, "stream": True}
CHAT = "/v1/chat/completions"
JSON_HEAD: Pairs = ((":status", b"200"), ("content-type", b"application/json"))
LINES_HEAD: Pairs = ((":status", b"200"), ("content-type", b"text/lines"))
ANSWER = b'{"a": "pong", "tokens": 1}'
LINES = b"one\ntwo\nthree\n.\n"
KNOWN = {
    "b": {"provider": "renaming", "url": "http://h"},
    "next": {"provider": "renaming", "url": "http://n"},
    "slow": {"provider": "renaming", "url": "http://h", "token_s": 0.05},
    "breaks": {"provider": "renaming", "url": "http://h", "fails": "begin"},
    "native": {"provider": "openai", "url": "http://h/v1"},
}


def compiled(*backends, routes=None, **plugins):
    """Compile a config with a route for everything, unless others are given."""
    used = [*backends, *(name for route in routes or () for name in route["backends"])]
    routes = routes or [{"name": "r", "plugins": list(plugins), "backends": list(backends)}]
    top = {"backends": {name: KNOWN[name] for name in used}, "routes": routes}
    document = document_with(top, **plugins)
    document["plugins"]["brings"] = {"uses": "tests.support.renaming:Brings"}
    return runtime_of(document)


class Watching(Seen):
    """An observer that keeps what it sees."""

    def dropped(self, backend, fields):
        pass


@dataclass(frozen=True)
class Got:
    """A response after a level."""

    pairs: Pairs
    body: bytes
    is_own: bool = False

    @property
    def status(self):
        return int(self.header(":status"))

    @property
    def compared(self):
        # What tells of steps and times is another's where the steps are elsewhere.
        told = {"x-dragoman-overhead-ms", "x-dragoman-plugins", "server-timing"}
        return {n: v for n, v in dict(self.pairs).items() if n not in told}, self.body

    def header(self, name):
        return Headers(self.pairs).get(name)


class Exchanged:
    """One exchange at the router level."""

    def __init__(self, runtime, *, route=None, **more):
        self.seen = Watching()
        self.waits = []
        choice = Choice(runtime.candidates, runtime.routes.get(route))
        self.session = RouterSession(
            runtime, choice, self.seen, Clock(), counted_ids(), patience=self.wait, **more
        )

    async def wait(self, seconds):
        self.waits.append(seconds)

    async def ask(self, call=CALL, path=CHAT, method=b"POST"):
        pairs = ((":method", method), (":path", path.encode()))
        self.headed = await self.session.request_headers(pairs, ends=False, attributes={})
        if isinstance(self.headed, Finish) or self.headed.wish == "skip":
            return self.headed
        return await self.session.request_body(json.dumps(call).encode())

    async def answer(self, pairs=JSON_HEAD, body=ANSWER, **how):
        return await passed(self.session, pairs, body, **how)

    async def over(self):
        await self.session.complete(cancelled=False)
        return self.seen.ends[-1][1]


async def exchanged(runtime, pairs=JSON_HEAD, body=ANSWER, call=CALL, **how):
    """Run a whole exchange and return what the client gets."""
    one = Exchanged(runtime)
    await one.ask(call)
    return await one.answer(pairs, body, **how)


async def passed(session, pairs, body, cuts=(), attributes=VIA_UPSTREAM):
    """Send a response through a level as Envoy would."""

    def got(verdict, data):
        if isinstance(verdict, Finish):
            own = [(name, value.encode()) for name, value in verdict.headers.items()]
            return Got(((":status", str(verdict.status).encode()), *own), verdict.body, True)
        return Got(Headers(pairs).edited(verdict.edits).pairs, data)

    verdict = await session.response_headers(pairs, ends=not body, attributes=attributes)
    if isinstance(verdict, Finish) or verdict.wish == "skip" or not body:
        return got(verdict, body or verdict.body or b"")
    pairs = got(verdict, b"").pairs
    if verdict.wish == "whole":
        verdict = await session.response_body(body)
        return got(verdict, body if verdict.body is None else verdict.body)
    body = gzip.decompress(body) if verdict.encoding else body
    if verdict.wish == "events":
        decoder = FrameDecoder(2**20)
        frames = decoder.feed(body) + decoder.finish()
        return Got(pairs, (await session.response_events(frames, ended=True)).data)
    bounds = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    out = b""
    for start, end in itertools.pairwise(bounds):
        emit = await session.response_bytes(body[start:end], ended=False)
        out += emit.data
        if emit.end:
            return Got(pairs, out)
    return Got(pairs, out + (await session.response_bytes(b"", ended=True)).data)


async def at_two_levels(runtime, call, pairs, body, cuts):
    """Run an exchange whose attempt has a level of its own, and return what the client gets."""
    router = Exchanged(runtime)
    await router.ask(call)
    attempt = AttemptSession(runtime, runtime.routes["r"], Watching())
    host = 'key: "dragoman" value { fields { key: "backend" value { string_value: "b" } } }'
    asked = ((":method", b"POST"), (":path", CHAT.encode()))
    await attempt.request_headers(asked, ends=False, attributes={HOST_METADATA: host})
    await attempt.request_body(json.dumps(call).encode())
    first = await passed(attempt, pairs, body, cuts, attributes={})
    return await router.answer(
        first.pairs, first.body, attributes={} if first.is_own else VIA_UPSTREAM
    )
