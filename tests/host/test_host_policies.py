"""The chain and its policies: order, short-circuits, failures, time-outs, shadow, side by side."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import replace

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.api import Event, HeaderEdits, Refuse, Reply, Rewrite
from pipeline.host.verdicts import Finish, Proceed
from tests.support.chain import (
    HELLO,
    STREAMED,
    Driven,
    chat_answer,
    chat_stream,
    plugin,
    runtime_with,
    step_of,
    steps_of,
    streamed_text,
    until,
)
from tests.support.host import SSE_RESPONSE, error_of, forwarded

HOOKS = ("on_request_headers", "on_request", "on_response_headers", "on_response", "on_complete")


def logging_plugin(log, **members):
    def noting(hook):
        return lambda self, exchange: log.append((self.name, hook))

    return plugin(**{hook: noting(hook) for hook in HOOKS} | members)


async def whole(driven, text="hi"):
    """Drive an exchange whose answer is whole; return the verdicts on call and answer."""
    asked = await driven.asked()
    if isinstance(asked, Finish):
        return asked, None
    return asked, await driven.answered(chat_answer(text))


# --- order


async def test_requests_pass_in_list_order_and_responses_in_reverse():
    log = []
    driven = Driven(runtime_with(a=logging_plugin(log), b=logging_plugin(log)))

    await whole(driven)
    await driven.over()

    assert log == [
        ("a", "on_request_headers"),
        ("b", "on_request_headers"),
        ("a", "on_request"),
        ("b", "on_request"),
        ("b", "on_response_headers"),
        ("a", "on_response_headers"),
        ("b", "on_response"),
        ("a", "on_response"),
        ("b", "on_complete"),
        ("a", "on_complete"),
    ]


@pytest.mark.parametrize("hook", ["on_request_headers", "on_request"])
@pytest.mark.parametrize("ending", ["replied", "refused"])
async def test_after_a_short_circuit_only_plugins_already_entered_see_the_response(hook, ending):
    log = []

    def ends(self, exchange):
        log.append((self.name, hook))
        if ending == "refused":
            return Refuse(429, "slow_down", "later")
        return Reply(exchange.answer("here", model="m"))

    driven = Driven(
        runtime_with(
            a=logging_plugin(log), b=logging_plugin(log, **{hook: ends}), c=logging_plugin(log)
        )
    )
    verdict, _ = await whole(driven)
    outcome = await driven.over()

    assert isinstance(verdict, Finish)
    assert outcome.ending == ending
    of_c = [one for one in log if one[0] == "c"]
    assert of_c == (
        [] if hook == "on_request_headers" else [("c", "on_request_headers"), ("c", "on_complete")]
    )
    after = log[log.index(("b", hook)) + 1 :]
    seen = [one for one in after if one[0] != "c"]
    expected = [("a", "on_response_headers"), ("a", "on_response")]
    assert seen == [
        *(expected if ending == "replied" else expected[:1]),
        ("b", "on_complete"),
        ("a", "on_complete"),
    ]


async def test_a_refusal_is_worded_in_the_clients_format_with_its_headers():
    def refuses(self, exchange):
        return Refuse(429, "slow_down", "later", HeaderEdits(set={"retry-after": "3"}))

    verdict = await Driven(runtime_with(p=plugin(on_request=refuses))).asked(
        {**HELLO, "max_tokens": 1}, path="/v1/messages"
    )

    assert (verdict.status, verdict.code) == (429, "slow_down")
    assert json.loads(verdict.body)["type"] == "error"
    assert verdict.headers["retry-after"] == "3"
    assert verdict.headers["x-dragoman-plugins"] == "p=refuse"


async def test_a_reply_is_delivered_whole_or_as_the_stream_that_was_asked_for():
    runtime = runtime_with(
        p=plugin(on_request=lambda self, exchange: Reply(exchange.answer("here")))
    )

    at_once = await Driven(runtime).asked()
    streamed = await Driven(runtime).asked(STREAMED)

    assert json.loads(at_once.body)["choices"][0]["message"]["content"] == "here"
    assert streamed.headers["content-type"] == "text/event-stream"
    assert streamed_text(streamed.body) == "here"


async def test_plugins_before_a_reply_may_rewrite_it_whole_and_streamed():
    def louder(self, exchange):
        answer = exchange.response.answer
        [segment] = answer.segments
        return Rewrite(
            answer=answer.replace(segments=[replace(segment, text=segment.text.upper())])
        )

    runtime = runtime_with(
        a=plugin(on_response=louder),
        b=plugin(on_request=lambda self, exchange: Reply(exchange.answer("here"))),
    )

    at_once = await Driven(runtime).asked()
    streamed = await Driven(runtime).asked(STREAMED)

    assert json.loads(at_once.body)["choices"][0]["message"]["content"] == "HERE"
    assert streamed_text(streamed.body) == "HERE"


# --- rewriting


async def test_a_later_plugin_sees_the_rewritten_call_and_headers():
    seen = []

    def first(self, exchange):
        return Rewrite(
            call=exchange.call.replace(model="other"),
            headers=HeaderEdits(set={"x-a": "1", ":path": "/v1/chat/completions?q=1"}),
        )

    def second(self, exchange):
        seen.append((exchange.call.model, exchange.request.headers.get("x-a")))
        seen.append((exchange.request.query, ":path" in exchange.request.headers))
        return Rewrite(headers=HeaderEdits(set={"x-b": "2"}, remove=frozenset({"x-a"})))

    driven = Driven(runtime_with(a=plugin(on_request=first), b=plugin(on_request=second)))
    verdict = await driven.asked()

    assert seen == [("other", "1"), ("q=1", False)]
    assert forwarded(verdict)["model"] == "other"
    assert verdict.edits.set["x-b"] == "2"
    assert "x-a" in verdict.edits.remove
    assert "x-a" not in verdict.edits.set


async def test_edits_of_the_answers_headers_merge_in_the_order_of_the_response():
    def edit(value):
        return plugin(
            on_response=lambda self, exchange: Rewrite(
                headers=HeaderEdits(set={"x-last": value, f"x-{value}": "1"})
            )
        )

    _, verdict = await whole(Driven(runtime_with(a=edit("a"), b=edit("b"))))

    assert verdict.edits.set == {"x-last": "a", "x-a": "1", "x-b": "1"}
    assert verdict.body is None


async def test_a_call_nobody_changes_is_forwarded_untouched():
    same = plugin(on_request=lambda self, exchange: Rewrite(call=exchange.call.replace(model="m")))

    verdict = await Driven(runtime_with(p=same)).asked()

    assert isinstance(verdict, Proceed)
    assert verdict.body is None


# --- failures


def bad(kind):
    async def hangs(self, exchange):
        await asyncio.Event().wait()

    async def cancelled(self, exchange):
        raise asyncio.CancelledError

    def raises(error):
        def hook(self, exchange):
            raise error

        return hook

    async def exits_later(self, exchange):
        await asyncio.sleep(0)
        raise SystemExit(3)

    return {
        "raises": (raises(ValueError("sesame")), "plugin_error"),
        "exits": (raises(SystemExit("sesame")), "plugin_error"),
        "exits_later": (exits_later, "plugin_error"),
        "cancelled": (cancelled, "plugin_error"),
        "recursion": (raises(RecursionError()), "plugin_error"),
        "hangs": (hangs, "plugin_timeout"),
        "nonsense": (lambda self, exchange: {"sesame": 1}, "plugin_nonsense"),
        "class": (lambda self, exchange: Refuse, "plugin_nonsense"),
        "true": (lambda self, exchange: True, "plugin_nonsense"),
    }[kind]


KINDS = [
    "raises", "exits", "exits_later", "cancelled", "recursion", "hangs", "nonsense", "class", "true"
]  # fmt: skip
PHASES = ["on_request_headers", "on_request", "on_response_headers", "on_response"]


async def phases(driven):
    verdict = await driven.asked()
    if isinstance(verdict, Finish):
        return verdict
    verdict = await driven.headed()
    if isinstance(verdict, Finish) or verdict.wish == "skip":
        return verdict
    return await driven.session.response_body(json.dumps(chat_answer("hi")).encode())


@pytest.mark.parametrize("hook", PHASES)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_failure_goes_on_without_the_plugin_where_it_fails_open(hook, kind):
    function, code = bad(kind)
    driven = Driven(runtime_with(p=(plugin(**{hook: function}), {"timeout": "20ms"})))

    verdict = await phases(driven)
    step = step_of(await driven.over(), "p")

    assert isinstance(verdict, Proceed)
    assert (step.hook, step.decision, step.reason, step.applied) == (hook, "error", code, False)


@pytest.mark.parametrize("hook", PHASES)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_failure_refuses_where_the_plugin_fails_closed_and_says_nothing_of_it(hook, kind):
    function, code = bad(kind)
    keys = {"timeout": "20ms", "on_error": "closed"}
    driven = Driven(runtime_with(p=(plugin(**{hook: function}), keys)))

    fault = error_of(await phases(driven))
    outcome = await driven.over()

    assert (fault["status"], fault["code"]) == (503, code)
    assert "sesame" not in str(fault)
    assert (outcome.ending, outcome.status, outcome.code) == ("refused", 503, code)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("on_error", ["open", "closed"])
async def test_a_failure_while_streaming_is_let_through_or_ends_the_stream(kind, on_error):
    function, code = bad(kind)
    hook = plugin(
        on_response_event=(
            (lambda self, exchange, event: function(self, exchange))
            if not asyncio.iscoroutinefunction(function)
            else _event_hook(function)
        )
    )
    driven = Driven(runtime_with(p=(hook, {"timeout": "20ms", "on_error": on_error})))
    await driven.asked(STREAMED)
    stream = chat_stream("a")

    [emit] = await driven.streamed(stream)
    step = step_of(await driven.over(), "p")

    assert (step.decision, step.reason) == ("error", code)
    assert emit.end == (on_error == "closed")
    assert (emit.data == stream) == (on_error == "open")
    if on_error == "closed":
        assert code.encode() in emit.data


def _event_hook(function):
    async def on_response_event(self, exchange, event):
        return await function(self, exchange)

    return on_response_event


@pytest.mark.parametrize("kind", KINDS)
async def test_a_failure_in_looking_back_changes_nothing_for_the_others(kind):
    function, code = bad(kind)
    log = []
    driven = Driven(
        runtime_with(
            a=plugin(on_complete=lambda self, exchange, outcome: log.append(outcome.ending)),
            b=(plugin(on_complete=function), {"timeout": "20ms", "on_error": "closed"}),
        )
    )
    await whole(driven)
    outcome = await driven.over()

    assert log == ["completed"]
    assert outcome.ending == "completed"
    if kind not in {"nonsense", "class", "true"}:
        assert step_of(outcome, "b").reason == code


ODD = [
    lambda x: Refuse(200, "fine", "no error"),
    lambda x: Refuse(403, "", "no code"),
    lambda x: Refuse("403", "code", "a text for a status"),
    lambda x: Refuse(403, "code", None),
    lambda x: Refuse(403, "code", "m", headers={"a": "b"}),
    lambda x: Refuse(403, "code", "m", headers=None),
    lambda x: Reply("text"),
    lambda x: Reply(x.answer("x"), headers={"a": "b"}),
    lambda x: Rewrite(headers={"a": "b"}),
    lambda x: Rewrite(headers=None),
    lambda x: Rewrite(call={"model": "x"}),
    lambda x: Rewrite(call=x.call.replace(set_params={"x": object()})),
    lambda x: Rewrite(call=x.call.replace(set_params={"x": {1, 2}})),
    lambda x: Rewrite(answer=x.answer("x")),
    lambda x: Rewrite(events=()),
    lambda x: Rewrite(end=True),
]


@pytest.mark.parametrize("make", ODD)
async def test_a_decision_that_cannot_be_applied_is_nonsense_and_not_a_crash(make):
    # What is no error here is none at all: the host may only refuse it by policy.
    hook = plugin(on_request=lambda self, exchange: make(exchange))
    driven = Driven(runtime_with(p=(hook, {"on_error": "closed"})))

    fault = error_of(await driven.asked())

    assert fault["code"] == "plugin_nonsense"


NOT_EVENTS = [
    lambda event: (one for one in [event]),
    lambda event: event,
    lambda event: 5,
    lambda event: [b"data: x\n\n"],
    lambda event: [None],
    lambda event: [Event(event.dialect, "text")],
]


@pytest.mark.parametrize("make", NOT_EVENTS)
async def test_events_that_are_none_are_nonsense_and_lose_nothing(make):
    hook = plugin(on_response_event=lambda self, event: Rewrite(events=make(event)))
    driven = Driven(runtime_with(p=hook))
    await driven.asked(STREAMED)
    stream = chat_stream("a", "b")

    [emit] = await driven.streamed(stream)

    assert emit.data == stream
    assert step_of(await driven.over(), "p").reason == "plugin_nonsense"


async def test_a_reply_on_the_response_side_is_nonsense():
    answers = plugin(on_response=lambda self, exchange: Reply(exchange.answer("x")))
    driven = Driven(runtime_with(p=(answers, {"on_error": "closed"})))

    _, verdict = await whole(driven)

    assert error_of(verdict)["code"] == "plugin_nonsense"


async def test_a_cancelled_exchange_cancels_its_hook_and_fails_no_policy():
    started = asyncio.Event()

    async def hangs(self, exchange):
        started.set()
        await asyncio.Event().wait()

    driven = Driven(runtime_with(p=(plugin(on_request=hangs), {"on_error": "open"})))
    asking = asyncio.ensure_future(driven.asked())
    await started.wait()
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking
    outcome = await driven.over(cancelled=True)
    assert outcome.ending == "cancelled"
    assert outcome.steps == ()


async def test_on_complete_runs_to_its_end_where_who_waits_is_cancelled():
    log = []

    async def on_complete(self, exchange, outcome):
        log.append("begins")
        await asyncio.sleep(0.005)
        log.append("ends")

    runtime = runtime_with(p=plugin(on_complete=on_complete))
    driven = Driven(runtime)
    await driven.asked()
    ending = asyncio.ensure_future(driven.session.complete(cancelled=True))
    await until(lambda: log)
    ending.cancel()
    await runtime.shutdown()

    assert log == ["begins", "ends"]


# --- time


async def test_a_blocking_hook_runs_in_a_thread_and_holds_nobody_up():
    threads = []

    def waits(self, exchange):
        threads.append(threading.current_thread().name)
        time.sleep(0.03)

    runtime = runtime_with(p=plugin(blocking=True, on_request=waits))
    turns = 0
    asking = asyncio.ensure_future(Driven(runtime).asked())
    while not asking.done():
        turns += 1
        await asyncio.sleep(0.001)

    assert isinstance(await asking, Proceed)
    assert threads[0].startswith("plugin")
    assert turns > 5
    await runtime.shutdown()


async def test_the_hooks_of_a_message_are_told_by_when_to_decide():
    left = []

    def look(self, exchange):
        left.append(exchange.deadline_s - time.monotonic())

    hooks = dict.fromkeys(("on_request", "on_response"), look)
    driven = Driven(runtime_with(p=(plugin(**hooks), {"timeout": "3s"})))
    await driven.asked()
    await asyncio.sleep(0.02)
    await driven.answered(chat_answer("hi"))

    assert all(2.9 < one <= 3.0 for one in left)
    assert left[1] > 2.985  # a budget of its own, not what the request left


def test_a_routes_budget_is_what_its_slowest_message_may_take():
    both = plugin(on_request_headers=lambda self: None, on_request=lambda self: None)
    reads = plugin(on_request=lambda self: None, read_only=True)
    runtime = runtime_with(
        a=(both, {"timeout": "1s"}), b=(reads, {"timeout": "2s"}), c=(reads, {"timeout": "3s"})
    )

    assert runtime.routes["chat"].plan.budget_s == 1 + 1 + 3


# --- side by side


async def test_read_only_neighbours_run_side_by_side_and_list_order_decides():
    running = []

    def waiting(delay_s, decision):
        async def on_request(self, exchange):
            running.append(self.name)
            if delay_s is None:
                await asyncio.Event().wait()
            await until(lambda: len(running) == 3)
            await asyncio.sleep(delay_s)
            return decision

        return plugin(read_only=True, on_request=on_request)

    driven = Driven(
        runtime_with(
            slow=waiting(0.01, Refuse(403, "slow", "m")),
            fast=waiting(0, Refuse(403, "fast", "m")),
            never=waiting(None, None),
        )
    )

    fault = error_of(await asyncio.wait_for(driven.asked(), 2))

    assert running == ["slow", "fast", "never"]
    assert fault["code"] == "slow"


async def test_a_plugin_that_may_rewrite_runs_alone():
    log = []

    def noting(read_only):
        async def on_request(self, exchange):
            log.append(f"+{self.name}")
            await asyncio.sleep(0)
            log.append(f"-{self.name}")

        return plugin(read_only=read_only, on_request=on_request)

    await Driven(
        runtime_with(a=noting(True), b=noting(False), c=noting(True), d=noting(True))
    ).asked()

    assert log == ["+a", "-a", "+b", "-b", "+c", "+d", "-c", "-d"]


async def test_a_read_only_plugin_that_rewrites_breaks_its_word():
    rewrites = plugin(
        read_only=True,
        on_request=lambda self, exchange: Rewrite(call=exchange.call.replace(model="x")),
    )
    driven = Driven(runtime_with(p=rewrites))

    verdict = await driven.asked()

    assert verdict.body is None
    assert step_of(await driven.over(), "p").reason == "plugin_nonsense"


# --- shadow

DECISIONS = {
    "on_request_headers": [
        lambda x: Refuse(403, "no", "m"),
        lambda x: Rewrite(headers=HeaderEdits(set={"x-a": "1"})),
        lambda x: Reply(x.answer("x")),
        lambda x: {}["sesame"],
    ],
    "on_request": [
        lambda x: Refuse(403, "no", "m"),
        lambda x: Rewrite(call=x.call.replace(model="other")),
        lambda x: Reply(x.answer("x")),
        lambda x: object(),
    ],
    "on_response_headers": [
        lambda x: Refuse(403, "no", "m"),
        lambda x: Rewrite(headers=HeaderEdits(set={"x-b": "1"})),
    ],
    "on_response": [
        lambda x: Refuse(403, "no", "m"),
        lambda x: Rewrite(answer=x.answer("other"), headers=HeaderEdits(set={"x-c": "1"})),
        lambda x: 1 / 0,
    ],
    "on_response_event": [
        lambda x: Rewrite(events=()),
        lambda x: Rewrite(end=True),
        lambda x: Refuse(403, "no", "m"),
    ],
}
SHADOWED = st.fixed_dictionaries(
    {}, optional={hook: st.sampled_from(choices) for hook, choices in DECISIONS.items()}
).filter(bool)


def deciding(choices):
    def event_hook(make):
        return lambda self, exchange, event: make(exchange)

    def hook(make):
        return lambda self, exchange: make(exchange)

    return plugin(
        **{
            name: event_hook(make) if name == "on_response_event" else hook(make)
            for name, make in choices.items()
        }
    )


def shape(verdict):
    """Return what of a verdict is the same each time: not the reported milliseconds."""
    reported = {"x-dragoman-plugins", "x-dragoman-overhead-ms", "server-timing"}
    if isinstance(verdict, Proceed):
        edits = {k: v for k, v in verdict.edits.set.items() if k not in reported}
        return edits, verdict.edits.remove, verdict.body, verdict.clear_route, verdict.wish
    return type(verdict).__name__, getattr(verdict, "data", getattr(verdict, "body", None))


READER = plugin(
    on_request_headers=lambda self, exchange: None,
    on_request=lambda self, exchange: None,
    on_response_headers=lambda self, exchange: None,
    on_response=lambda self, exchange: None,
    on_response_event=lambda self, exchange, event: None,
)


async def everything(runtime, *, streamed):
    """Drive an exchange; return every verdict and what a plugin sees at the end."""
    driven = Driven(runtime)
    verdicts = [await driven.asked(STREAMED if streamed else HELLO)]
    if streamed:
        verdicts += await driven.streamed(chat_stream("a"), chat_stream("b"))
    else:
        verdicts.append(await driven.headed())
        raw = json.dumps(chat_answer("hi")).encode()
        verdicts.append(await driven.session.response_body(raw))
    outcome = await driven.over()
    exchange = driven.exchange
    state = (
        exchange.request,
        exchange.call.encode(),
        exchange.response.status,
        exchange.response.headers.pairs,
        outcome.ending,
        outcome.status,
    )
    return [shape(one) for one in verdicts], [repr(part) for part in state], outcome


@settings(max_examples=40, deadline=None)
@given(choices=SHADOWED, streamed=st.booleans(), on_error=st.sampled_from(["open", "closed"]))
async def test_in_shadow_all_is_as_if_the_plugin_were_not_there(choices, streamed, on_error):
    keys = {"mode": "shadow", "on_error": on_error}
    with_it = runtime_with(reader=READER, p=(deciding(choices), keys))
    without = runtime_with(reader=READER)

    verdicts, state, outcome = await everything(with_it, streamed=streamed)
    plain_verdicts, plain_state, _ = await everything(without, streamed=streamed)

    assert verdicts == plain_verdicts
    assert state == plain_state
    assert {step.applied for step in outcome.steps if step.instance == "p"} <= {False}


async def test_a_shadowed_decision_is_recorded_and_reported():
    refuses = plugin(on_request=lambda self, exchange: Refuse(403, "no", "m", reason="too bad"))
    driven = Driven(runtime_with(p=(refuses, {"mode": "shadow"})))

    verdict = await driven.asked()
    outcome = await driven.over()

    assert verdict.report["plugins"] == "p=shadow-refuse"
    assert steps_of(outcome) == [("p", "on_request", "refuse", False)]
    assert step_of(outcome, "p").reason == "too bad"


# --- the event loop


async def test_the_host_does_no_blocking_io_on_the_event_loop():
    log = []
    runtime = runtime_with(
        {"backends": {"b": {"provider": "openai", "api_key": "k", "models": {"m": "n"}}}}
        | {"routes": [{"name": "chat", "plugins": ["a", "b"], "backends": ["b"]}]},
        a=(logging_plugin(log), {"when": "path.startsWith('/v1')"}),
        b=(logging_plugin(log), {"mode": "50%"}),
    )
    sleeps = plugin(on_request=lambda self, exchange: time.sleep(0.001))
    with blockbuster_ctx():
        control = Driven(runtime_with(p=sleeps))
        await control.asked()
        for body in (HELLO, STREAMED, b"{"):
            driven = Driven(runtime)
            verdict = await driven.asked(body)
            if isinstance(verdict, Proceed):
                await driven.headed(SSE_RESPONSE)
            await driven.over()

    assert step_of(await control.over(), "p").decision == "error"  # it would have been noticed
    assert ("b", "on_complete") in log
