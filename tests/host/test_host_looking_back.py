"""What a plugin has when it looks back: signals, in a time of its own, and the answer it saw."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.chain import (
    Driven,
    chat_answer,
    chat_stream,
    plugin,
    runtime_with,
    step_of,
)
from tests.support.host import SSE_RESPONSE

TINY = {"inference": {"tier": "tiny"}}


async def test_a_signal_may_be_asked_for_long_after_the_last_message():
    found = []

    async def on_complete(self, exchange, outcome):
        vector = await exchange.signals.embedding("a text that was not asked about before")
        found.append((len(vector), exchange.deadline_s - time.monotonic()))

    kept = (plugin(on_complete=on_complete), {"timeout": "5s"})
    runtime = runtime_with(TINY, kept=kept)
    await runtime.startup()
    driven = Driven(runtime)
    await driven.asked()
    driven.exchange.signals.deadline_s = 0.0  # a stream that took as long as streams may
    await driven.over()
    await runtime.shutdown()

    [(dimensions, left_s)] = found
    assert dimensions == 256
    assert 3 < left_s < 5


async def test_signals_are_cancelled_only_when_every_plugin_has_looked_back():
    log = []
    go_on = asyncio.Event()

    async def slow(text):
        try:
            await go_on.wait()
        except asyncio.CancelledError:
            log.append(f"{text} cancelled")
            raise
        return text

    async def first(self, exchange, outcome):
        exchange.signals.prefetch([("asked", ("slow",))])
        await asyncio.sleep(0)
        go_on.set()

    async def second(self, exchange, outcome):
        log.append(await exchange.signals.get("slow", "asked"))
        go_on.clear()
        exchange.signals.prefetch([("left", ("slow",))])
        await asyncio.sleep(0)

    def register_signals(self, register):
        register("slow", slow)

    # Who stands last in the list looks back first.
    driven = Driven(
        runtime_with(
            b=plugin(on_complete=second),
            a=plugin(on_complete=first, register_signals=register_signals),
        )
    )
    await driven.asked()
    await driven.over()
    await asyncio.sleep(0)

    assert log == ["asked", "left cancelled"]


async def test_a_signal_that_never_comes_costs_a_plugin_its_timeout_and_no_more():
    async def never(text):
        await asyncio.Event().wait()

    def register_signals(self, register):
        register("never", never)

    async def on_complete(self, exchange, outcome):
        await exchange.signals.get("never", "a")

    looked = plugin(on_complete=on_complete, register_signals=register_signals)
    driven = Driven(runtime_with(p=(looked, {"timeout": "20ms"})))
    await driven.asked()
    outcome = await driven.over()

    step = step_of(outcome, "p")
    assert (step.decision, step.reason) == ("error", "plugin_timeout")


def remembering(seen, **declared):
    def on_complete(self, exchange, outcome):
        response = exchange.response
        answer = response.answer if response is not None else None
        seen.append((answer and answer.text, response is not None and response.streamed))

    return plugin(on_complete=on_complete, **declared)


def nothing(self, exchange):
    return None


@pytest.mark.parametrize("read_only", [True, False])
async def test_who_saw_the_whole_answer_still_has_it(read_only):
    seen = []
    kept = remembering(seen, on_response=nothing, read_only=read_only)

    driven = Driven(runtime_with(p=kept))
    await driven.asked()
    await driven.answered(chat_answer("hello"))
    await driven.over()

    streamed = Driven(runtime_with(p=kept))
    await streamed.asked()
    await streamed.streamed(chat_stream("hel", "lo"))
    await streamed.over()

    assert seen == [("hello", False), ("hello", True)]


async def test_of_a_stream_that_was_cut_nobody_has_an_answer():
    seen = []
    driven = Driven(runtime_with(p=remembering(seen, on_response=nothing, read_only=True)))
    await driven.asked()
    await driven.headed(SSE_RESPONSE)
    await driven.over(cancelled=True)

    assert seen == [(None, True)]
