"""Plain hooks that hold the event loop: those alone are noted, call by call."""

from __future__ import annotations

import asyncio
import time

from pipeline.host.session import Choice, RouterSession
from pipeline.testing.clock import Clock
from tests.support.chain import STREAMED, Driven, chat_stream, plugin, runtime_with, step_of


def spin(self, exchange):
    """Compute for 60 ms."""
    until_s = time.monotonic() + 0.06
    while time.monotonic() < until_s:
        pass


async def test_a_plain_hook_that_holds_the_loop_is_noted_and_one_in_a_thread_is_not():
    def raises(self, exchange):
        spin(self, exchange)
        raise RuntimeError

    async def waits(self, exchange):
        await asyncio.sleep(0.06)

    def event(self, event):
        spin(self, event)

    runtime = runtime_with(
        held=plugin(on_request=spin, on_complete=spin),
        fails=plugin(on_request=raises),
        stream=plugin(on_response_event=event),
        pooled=plugin(on_request=spin, blocking=True),
        waits=plugin(on_request=waits),
    )
    driven = Driven(runtime)
    await driven.asked(STREAMED)
    await driven.streamed(chat_stream("one"))
    await driven.over()

    noted = driven.seen.holds
    expected = {
        ("held", "on_request"),
        ("held", "on_complete"),
        ("fails", "on_request"),
        ("stream", "on_response_event"),
    }
    assert expected <= noted.keys()
    assert all(noted[one] >= 0.06 for one in expected)
    assert not {"pooled", "waits"} & {name for name, _ in noted}


async def test_many_short_events_are_no_hold_of_the_loop():
    clock = Clock()

    def event(self, event):
        clock.advance(0.02)

    runtime = runtime_with(p=plugin(on_response_event=event))
    driven = Driven(runtime)
    driven.session = RouterSession(
        runtime, Choice(runtime.candidates), driven.seen, clock, lambda: "test-id"
    )
    await driven.asked(STREAMED)
    await driven.streamed(chat_stream("a", "b", "c", "d"))

    assert step_of(await driven.over(), "p").duration_s > 0.05
    assert driven.seen.holds == {}
