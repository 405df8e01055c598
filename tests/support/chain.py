"""Plugins made in a test, a config that chains them, and an exchange driven through their host.

runtime = runtime_with(
    guard=plugin(on_request=lambda self, exchange: Refuse(403, "no", "no")),
    other=(plugin(on_response=...), {"mode": "shadow"}),
)
exchange = Driven(runtime)
await exchange.asked({"model": "m", "messages": [...]})
await exchange.answered(b'{"choices": …}')
await exchange.over()
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from pipeline.api import Plugin
from pipeline.api.exchange import Exchange
from pipeline.api.outcome import Outcome, Step
from pipeline.api.sse import FrameDecoder
from pipeline.config.load import check_config
from pipeline.config.source import Source
from pipeline.host.compile import compile_config
from pipeline.host.runtime import Runtime
from pipeline.host.verdicts import Emit, Finish, Pairs, Proceed
from tests.support.host import JSON_RESPONSE, SSE_RESPONSE, VIA_UPSTREAM, ask, session_of

_NUMBERS = itertools.count()
HELLO = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
STREAMED = {**HELLO, "stream": True}


def chat_answer(text: str) -> dict[str, Any]:
    """Return the document of a chat completion."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "model": "m", "choices": [choice]}


def chat_stream(*texts: str, done: bool = True) -> bytes:
    """Return the bytes of a streamed chat completion."""
    frames = b""
    for text in texts:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        chunk = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
        frames += b"data: " + json.dumps(chunk).encode() + b"\n\n"
    return frames + (b"data: [DONE]\n\n" if done else b"")


def streamed_text(data: bytes) -> str:
    """Return the text that a client reads from a streamed chat completion."""
    decoder = FrameDecoder(2**20)
    text = ""
    for frame in [*decoder.feed(data), *decoder.finish()]:
        if frame.data and frame.data != "[DONE]":
            for choice in json.loads(frame.data).get("choices", ()):
                text += choice["delta"].get("content") or ""
    return text


def plugin(**members: Any) -> type[Plugin[Any]]:
    """Make a plugin class of hooks and declarations; a config finds it by `uses_of`."""
    name = f"Made{next(_NUMBERS)}"
    made = type(name, (Plugin,), {"__module__": __name__, **members})
    setattr(sys.modules[__name__], name, made)
    return made


def uses_of(made: type[Plugin[Any]]) -> str:
    """Return what a config writes after `uses:`."""
    return f"{made.__module__}:{made.__name__}"


def document_with(top: Mapping[str, Any] | None = None, /, **plugins: Any) -> dict[str, Any]:
    """Return a config with one route for everything: instance name to a class, or (class, keys)."""
    instances = {}
    for name, given in plugins.items():
        made, keys = given if isinstance(given, tuple) else (given, {})
        instances[name] = {"uses": uses_of(made), **keys}
    document: dict[str, Any] = {"plugins": instances, **(top or {})}
    document.setdefault("routes", [{"name": "chat", "plugins": list(plugins)}])
    return document


def runtime_with(top: Mapping[str, Any] | None = None, /, **plugins: Any) -> Runtime:
    """Compile `document_with`."""
    source = Source(None, document_with(top, **plugins))
    return compile_config(check_config(source), source)


def write_module(folder: Any, name: str, code: str) -> None:
    """Write a Python module."""
    (folder / f"{name}.py").write_text(textwrap.dedent(code))


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds that nothing announces."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - another process, or a hook, makes it hold
            await asyncio.sleep(0.001)


class Seen:
    """An observer that keeps what it sees."""

    def __init__(self) -> None:
        self.ends: list[tuple[Exchange, Outcome]] = []
        self.violations: list[str] = []
        self.holds: dict[tuple[str, str], float] = {}

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        self.ends.append((exchange, outcome))

    def violation(self, kind: str) -> None:
        self.violations.append(kind)

    def held(self, instance: str, hook: str, held_s: float) -> None:
        self.holds[instance, hook] = held_s


class Driven:
    """One exchange, phase by phase.

    Args:
        runtime: the compiled config.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.seen = Seen()
        self.session = session_of(runtime, self.seen)

    async def asked(self, body: Mapping[str, Any] | bytes = HELLO, **how: Any) -> Proceed | Finish:
        return await ask(self.runtime, body, session=self.session, **how)

    async def headed(
        self, pairs: Pairs = JSON_RESPONSE, attributes: Mapping[str, str] = VIA_UPSTREAM
    ) -> Proceed | Finish:
        return await self.session.response_headers(pairs, ends=False, attributes=attributes)

    async def answered(self, document: Mapping[str, Any] | bytes) -> Proceed | Finish:
        await self.headed()
        raw = document if isinstance(document, bytes) else json.dumps(document).encode()
        return await self.session.response_body(raw)

    async def streamed(self, *chunks: bytes, pairs: Pairs = SSE_RESPONSE) -> list[Emit]:
        """Send a streamed answer, one message per chunk, and return what each became."""
        verdict = await self.headed(pairs)
        assert isinstance(verdict, Proceed)
        assert verdict.wish == "events"
        decoder = FrameDecoder(2**20)
        emits = []
        for index, chunk in enumerate(chunks):
            ended = index == len(chunks) - 1
            frames = [*decoder.feed(chunk), *(decoder.finish() if ended else ())]
            emits.append(await self.session.response_events(frames, ended=ended))
            if emits[-1].end:
                break
        return emits

    async def over(self, *, cancelled: bool = False) -> Outcome:
        await self.session.complete(cancelled=cancelled)
        return self.seen.ends[-1][1]

    @property
    def exchange(self) -> Exchange:
        run = self.session._run
        assert run is not None
        return run.exchange


def steps_of(outcome: Outcome) -> list[tuple[str, str, str, bool]]:
    """Return what is the same in every run of an exchange's steps."""
    return [(s.instance, s.hook, s.decision, s.applied) for s in outcome.steps]


def step_of(outcome: Outcome, instance: str) -> Step:
    """Return the one step of an instance."""
    [step] = [one for one in outcome.steps if one.instance == instance]
    return step
