"""An exchange is read-only, and its signals are computed once for whoever asks."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.api import Exchange, Headers, Request, Signals
from pipeline.dialects.registry import builtin


def exchange(dialect="openai.chat", signals=None):
    return Exchange(
        id="id-1",
        route="chat",
        tenant="t",
        request=Request("POST", "/v1/chat/completions", "", "h", Headers()),
        dialect=builtin().by_name(dialect),
        deadline_s=0.0,
        signals=signals or Signals({}),
    )


@pytest.mark.parametrize(
    "name",
    ["id", "route", "tenant", "request", "call", "response", "backend", "dialect", "signals", "x"],
)
def test_no_attribute_of_an_exchange_can_be_set(name):
    made = exchange()

    with pytest.raises(AttributeError, match="read-only: return a decision"):
        setattr(made, name, "other")


def test_parts_of_an_exchange_are_read_only_too():
    made = exchange()

    with pytest.raises(AttributeError):
        made.request.path = "/other"
    assert repr(made) == "Exchange(id='id-1', route='chat')"


def test_each_plugin_has_its_own_state_on_an_exchange():
    made = exchange()
    one, other = object(), object()
    made.state(one)["seen"] = 1

    assert made.state(one) == {"seen": 1}
    assert made.state(other) == {}


@pytest.mark.parametrize("dialect", ["openai.chat", "openai.completions", "anthropic.messages"])
def test_an_answer_is_composed_in_the_exchanges_own_format(dialect):
    answer = exchange(dialect).answer("hello", model="m")

    assert (answer.text, answer.model, answer.dialect.name) == ("hello", "m", dialect)


def test_what_is_no_call_has_no_answer_format():
    with pytest.raises(ValueError, match="no LLM call"):
        exchange("none").answer("hello")


async def test_a_signal_is_computed_once_for_all_who_ask_at_the_same_time():
    asked = []

    async def length(text):
        asked.append(text)
        await asyncio.sleep(0)
        return len(text)

    signals = Signals({"length": length})
    values = await asyncio.gather(*(signals.get("length", text) for text in ("ab", "ab", "c")))

    assert values == [2, 2, 1]
    assert await signals.get("length", "ab") == 2
    assert asked == ["ab", "c"]


async def test_one_who_stops_waiting_does_not_stop_the_others():
    go = asyncio.Event()

    async def slow(text):
        await go.wait()
        return text

    signals = Signals({"slow": slow})
    first = asyncio.ensure_future(signals.get("slow", "x"))
    second = asyncio.ensure_future(signals.get("slow", "x"))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    go.set()

    assert await second == "x"
    assert first.cancelled()


async def test_a_signals_failure_reaches_all_who_ask():
    async def fails(text):
        raise ValueError(text)

    signals = Signals({"fails": fails})
    both = await asyncio.gather(
        signals.get("fails", "x"), signals.get("fails", "x"), return_exceptions=True
    )

    assert [type(one) for one in both] == [ValueError, ValueError]


async def test_a_signal_that_calls_exit_is_a_failure_and_no_end_of_the_process():
    async def leaves(text):
        raise SystemExit(3)

    with pytest.raises(RuntimeError):
        await Signals({"leaves": leaves}).get("leaves", "x")


async def test_an_unknown_signal_is_told_by_name():
    with pytest.raises(LookupError, match="'nope'"):
        await Signals({}).get("nope", "x")


async def test_what_still_runs_ends_with_the_exchange():
    ended = []

    async def endless(text):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(text)

    signals = Signals({"endless": endless})
    waiting = asyncio.ensure_future(signals.get("endless", "x"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    signals.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == ["x"]
