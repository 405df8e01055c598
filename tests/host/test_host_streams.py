"""A streamed answer on its way through the chain: held, changed, ended, and never torn."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.api import Event, Refuse, Rewrite
from pipeline.dialects.registry import builtin
from pipeline.host.verdicts import Finish
from pipeline.stream.deciding import decide
from pipeline.stream.machine import Machine
from pipeline.stream.messages import (
    Body,
    BodyReply,
    ChunkReply,
    Headers,
    HeadersReply,
    ImmediateReply,
    Mode,
    Trailers,
)
from tests.support.chain import (
    STREAMED,
    Driven,
    Seen,
    chat_answer,
    chat_stream,
    plugin,
    runtime_with,
    step_of,
    streamed_text,
)
from tests.support.host import VIA_UPSTREAM, session_of

WATCHING = plugin(on_response_event=lambda self, exchange, event: None)
HOLDING = plugin(on_response=lambda self, exchange: None)
READING = plugin(read_only=True, on_response=lambda self, exchange: None)


async def stream(runtime, *chunks):
    driven = Driven(runtime)
    await driven.asked(STREAMED)
    emits = await driven.streamed(*chunks)
    return [emit.data for emit in emits], await driven.over()


def on_text(act):
    """Make a hook that acts on events with text and leaves all others."""
    return plugin(
        on_response_event=lambda self, exchange, event: act(event) if event.text else None
    )


def changed(event, text):
    [segment] = event.segments
    return event.replace(segments=[replace(segment, text=text)])


# --- single events


async def test_a_plugin_may_hold_back_replace_add_and_end():
    held = on_text(lambda event: Rewrite(events=()) if event.text == "b" else None)
    replaced = on_text(lambda event: Rewrite(events=[changed(event, event.text.upper())]))
    added = on_text(lambda event: Rewrite(events=(event, changed(event, "!"))))
    ended = on_text(lambda event: Rewrite(events=[event], end=True) if event.text == "b" else None)

    texts = []
    for made in (held, replaced, added, ended):
        data, _ = await stream(runtime_with(p=made), chat_stream("a", "b", "c"))
        texts.append(streamed_text(b"".join(data)))

    assert texts == ["ac", "ABC", "a!b!c!", "ab"]


async def test_what_comes_after_the_end_of_a_stream_is_dropped():
    ended = on_text(lambda event: Rewrite(events=[event], end=True))

    data, _ = await stream(
        runtime_with(p=ended), chat_stream("a", done=False), chat_stream("b"), b""
    )

    assert data == [chat_stream("a", done=False)]


async def test_a_refusal_ends_the_stream_with_an_error_event_in_its_format():
    refused = on_text(lambda event: Refuse(403, "leak", "no") if event.text == "b" else None)

    [data], outcome = await stream(runtime_with(p=refused), chat_stream("a", "b", "c"))

    assert data.startswith(chat_stream("a", done=False))
    assert b'"code":"leak"' in data.replace(b" ", b"")
    assert data.endswith(b"data: [DONE]\n\n")
    assert b'"b"' not in data
    assert step_of_all(outcome, "p") == {"continue", "refuse"}


def step_of_all(outcome, instance):
    return {step.decision for step in outcome.steps if step.instance == instance}


async def test_events_pass_the_plugins_in_reverse_each_seeing_what_the_one_before_made():
    def appends(letter):
        return on_text(lambda event: Rewrite(events=[changed(event, event.text + letter)]))

    [data], _ = await stream(runtime_with(a=appends("a"), b=appends("b")), chat_stream("x"))

    assert streamed_text(data) == "xba"


async def test_events_of_a_stream_are_one_step_for_all_decided_alike():
    _, outcome = await stream(runtime_with(p=WATCHING), chat_stream(*"abcdef"))

    assert step_of(outcome, "p").decision == "continue"


@pytest.mark.parametrize("tail", [b"", b": comment\n\n", b"data: {}\n\n"])
async def test_a_stream_without_its_terminal_frame_gets_one_closing_event(tail):
    closing = []
    counts = plugin(on_response_event=lambda self, exchange, event: closing.append(event.closes))
    bytes_in = chat_stream("a", done=False) + tail

    data, _ = await stream(runtime_with(p=counts), bytes_in, b"")

    assert b"".join(data) == bytes_in
    assert closing.count(True) == 1
    assert closing[-1]


async def test_a_stream_with_its_terminal_frame_closes_with_that_and_keeps_what_follows():
    closing = []
    counts = plugin(
        on_response_event=lambda self, exchange, event: closing.append((event.raw, event.closes))
    )
    after = b": bye\n\n"

    data, _ = await stream(runtime_with(p=counts), chat_stream("a") + after, b"")

    assert b"".join(data) == chat_stream("a") + after
    assert [one for one in closing if one[1]] == [(b"data: [DONE]\n\n", True)]
    assert closing[-1][1]


# --- whole answers


async def test_a_plugin_of_whole_answers_holds_the_stream_and_releases_it_byte_for_byte():
    seen = []
    holds = plugin(
        on_response=lambda self, exchange: seen.append(
            (exchange.response.answer.text, exchange.response.streamed)
        )
    )
    first, second = chat_stream("a", "b", done=False), chat_stream("c") + b": bye\n\n"

    data, _ = await stream(runtime_with(p=holds), first, second, b"")

    assert data[0] == b""
    assert b"".join(data) == first + second
    assert seen == [("abc", True)]


async def test_a_read_only_plugin_of_whole_answers_holds_nothing():
    seen = []
    reads = plugin(
        read_only=True,
        on_response=lambda self, exchange: seen.append(exchange.response.answer.text),
    )
    first, second = chat_stream("a", done=False), chat_stream("b")

    data, _ = await stream(runtime_with(p=reads), first, second)

    assert data == [first, second]
    assert seen == ["ab"]


async def test_a_plugin_in_shadow_holds_nothing():
    first, second = chat_stream("a", done=False), chat_stream("b")

    data, _ = await stream(runtime_with(p=(HOLDING, {"mode": "shadow"})), first, second)

    assert data == [first, second]


async def test_a_whole_answer_may_be_rewritten_or_refused_before_anything_is_sent():
    rewrites = plugin(on_response=lambda self, exchange: Rewrite(answer=exchange.answer("other")))
    refuses = plugin(on_response=lambda self, exchange: Refuse(403, "leak", "no"))
    chunks = chat_stream("secret", done=False), chat_stream()

    rewritten, _ = await stream(runtime_with(p=rewrites), *chunks)
    refused, _ = await stream(runtime_with(p=refuses), *chunks)

    assert rewritten[0] == refused[0] == b""
    assert streamed_text(rewritten[1]) == "other"
    assert b"leak" in refused[1]
    assert b"secret" not in refused[1]


@pytest.mark.parametrize("early", ["end", "held", "refused"])
async def test_who_ends_a_stream_early_leaves_nothing_stuck_in_a_plugin_that_holds(early):
    decisions = {
        "end": lambda event: Rewrite(events=[event], end=True) if event.text == "b" else None,
        "held": lambda event: Rewrite(events=()) if event.closes else None,
        "refused": lambda event: Refuse(403, "leak", "no") if event.text == "c" else None,
    }
    cuts = plugin(on_response_event=lambda self, event: decisions[early](event))

    data, _ = await stream(runtime_with(a=HOLDING, b=cuts), chat_stream("a", "b", "c"))

    assert streamed_text(b"".join(data).split(b'data: {"error"')[0]).startswith("ab")


async def test_a_second_closing_event_of_a_plugin_sends_nothing_twice():
    closes = on_text(
        lambda event: (
            Rewrite(events=[event, Event(event.dialect, b"data: [DONE]\n\n", closes=True)])
            if event.text == "a"
            else None
        )
    )

    data, _ = await stream(runtime_with(a=HOLDING, b=closes), chat_stream("a", "b"))

    assert streamed_text(b"".join(data)) == "ab"


LIMIT = {"limits": {"response_body": "600B"}}


@pytest.mark.parametrize("holds", [HOLDING, READING])
async def test_over_the_limit_what_fails_open_lets_the_stream_go(holds):
    chunks = chat_stream("a" * 400, done=False), chat_stream("b" * 400, done=False), chat_stream()

    data, outcome = await stream(runtime_with(LIMIT, p=holds), *chunks)

    assert b"".join(data) == b"".join(chunks)
    assert step_of(outcome, "p").reason == "plugin_error"


async def test_over_the_limit_what_fails_closed_ends_the_stream_with_an_error_and_no_text():
    runtime = runtime_with(LIMIT, p=(HOLDING, {"on_error": "closed"}))
    chunks = chat_stream("a" * 400, done=False), chat_stream("b" * 400, done=False), chat_stream()

    data, outcome = await stream(runtime, *chunks)

    assert b"aaaa" not in b"".join(data)
    assert b"plugin_error" in data[-1]
    assert step_of(outcome, "p").applied


@pytest.mark.parametrize("on_error", ["open", "closed"])
async def test_an_answer_that_cannot_be_read_is_refused_only_by_what_fails_closed(on_error):
    driven = Driven(runtime_with(p=(HOLDING, {"on_error": on_error})))
    await driven.asked()

    verdict = await driven.answered(b"<html>")

    assert isinstance(verdict, Finish) == (on_error == "closed")
    assert on_error == "open" or verdict.code == "unreadable_answer"


async def test_an_error_of_the_provider_passes_through_unread():
    driven = Driven(runtime_with(p=(HOLDING, {"on_error": "closed"})))
    await driven.asked()

    verdict = await driven.headed(((":status", b"429"), ("content-type", b"application/json")))

    assert verdict.wish == "skip"
    assert (await driven.over()).status == 429


# --- the whole path, without gRPC

DIALECTS = {
    "openai.chat": (
        "/v1/chat/completions",
        {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    ),
    "openai.completions": ("/v1/completions", {"model": "m", "prompt": "hi"}),
    "openai.responses": ("/v1/responses", {"model": "m", "input": "hi"}),
    "anthropic.messages": (
        "/v1/messages",
        {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    ),
}
RUNTIMES = {
    "nothing": runtime_with(),
    "watching": runtime_with(p=WATCHING),
    "holding": runtime_with(p=HOLDING),
    "reading": runtime_with(p=READING),
    "all": runtime_with(a=WATCHING, b=READING, c=HOLDING, d=(HOLDING, {"mode": "shadow"})),
}
REWRITING = runtime_with(
    p=plugin(
        on_response_event=lambda self, exchange, event: (
            Rewrite(
                events=[
                    event.replace(
                        segments=[replace(s, text=(s.text or "").upper()) for s in event.segments]
                    )
                ]
            )
            if event.segments
            else None
        )
    )
)


async def drive(runtime, messages, modes):
    """Send messages as Envoy would; return what goes on, by side, and the answers."""
    seen = Seen()
    session = session_of(runtime, seen)
    machine = Machine(
        *modes, max_request_bytes=2**20, max_response_bytes=2**20, max_event_bytes=2**20
    )
    out = {"request": b"", "response": b""}
    answers = []
    for message in messages:
        replies, ask = machine.receive(message)
        if ask is not None:
            replies = [*replies, *machine.resume(await decide(session, ask, VIA_UPSTREAM))]
        for reply in replies:
            if isinstance(reply, ChunkReply):
                out[reply.side] += reply.data
            elif isinstance(reply, BodyReply):
                data = message.data if reply.data is None else reply.data
                out[reply.side] += data
            answers.append(reply)
        if machine.is_closed:
            break
    await session.complete(cancelled=not (machine.is_closed or machine.is_complete))
    return out, answers, seen


def cut(data, cuts):
    places = sorted({min(place, len(data)) for place in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def exchange_of(dialect, data, cuts, *, trailers=False, content_type=b"text/event-stream"):
    path, body = DIALECTS[dialect]
    raw = json.dumps({**body, "stream": True}).encode()
    head = (
        (":method", b"POST"),
        (":path", path.encode()),
        (":authority", b"h"),
        ("content-type", b"application/json"),
    )
    pieces = cut(data, cuts)
    last = len(pieces) - 1
    answer = [
        Body("response", piece, ends=not trailers and n == last) for n, piece in enumerate(pieces)
    ]
    return raw, [
        Headers("request", head, ends=False),
        Body("request", raw, ends=True),
        Headers("response", ((":status", b"200"), ("content-type", content_type)), ends=False),
        *answer,
        *([Trailers("response")] if trailers else []),
    ]


def answer_stream(dialect, text):
    made = builtin().by_name(dialect)
    document = made.compose(text, model="m", id="i", created_s=1)
    return b"".join(event.raw for event in made.unfold(document, {"stream": True}))


JUNK = st.sampled_from(
    [
        b"",
        b": ping\n\n",
        b"data: {\n\n",
        b"data: 5\n\n",
        b"\n\n",
        b"event: x\r\ndata: {}\r\n\r\n",
        b"data: \xff\xfe\n\n",
        b"data: [1]\ndata: 2\n\n",
        b'data: {"choices": 5, "type": 3, "delta": []}\n\n',
        b"data: unfinished",
    ]
)
CUTS = st.lists(st.integers(0, 900), max_size=12)


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(RUNTIMES)),
    text=st.text(max_size=30),
    junk=st.lists(JUNK, max_size=2),
    cuts=CUTS,
    mode=st.sampled_from([Mode.STREAMED, Mode.FULL_DUPLEX_STREAMED]),
    trailers=st.booleans(),
)
async def test_bytes_that_nobody_changes_go_on_as_they_came_however_they_are_cut(
    dialect, name, text, junk, cuts, mode, trailers
):
    data = answer_stream(dialect, text) + b"".join(junk)
    if trailers and mode is Mode.STREAMED and not data.endswith(b"\n\n"):
        data += b"\n\n"  # SSE itself drops an event that is left unterminated
    raw, messages = exchange_of(dialect, data, cuts, trailers=trailers)

    # Held bytes have no place in an answer to trailers in STREAMED.
    if trailers and mode is Mode.STREAMED:
        name = "watching" if name in {"holding", "all"} else name
    out, answers, seen = await drive(RUNTIMES[name], messages, (Mode.BUFFERED, mode))

    assert out == {"request": raw, "response": data}
    assert not any(isinstance(answer, ImmediateReply) for answer in answers)
    assert seen.violations == []
    [(_, outcome)] = seen.ends
    assert (outcome.ending, outcome.status) == ("completed", 200)


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(max_examples=30, deadline=None)
@given(text=st.text(max_size=30), cuts=CUTS)
async def test_what_a_plugin_makes_of_a_stream_is_the_same_however_it_is_cut(dialect, text, cuts):
    data = answer_stream(dialect, text)
    modes = (Mode.BUFFERED, Mode.STREAMED)

    at_once, _, _ = await drive(REWRITING, exchange_of(dialect, data, [])[1], modes)
    in_pieces, _, _ = await drive(REWRITING, exchange_of(dialect, data, cuts)[1], modes)

    assert in_pieces == at_once


@settings(max_examples=40, deadline=None)
@given(
    dialect=st.sampled_from(sorted(DIALECTS)),
    name=st.sampled_from(sorted(RUNTIMES)),
    data=st.binary(max_size=60) | st.lists(JUNK, max_size=4).map(b"".join),
    cuts=CUTS,
    response=st.sampled_from(list(Mode)),
    content_type=st.sampled_from([b"text/event-stream", b"application/json", b"text/plain", b""]),
)
async def test_whatever_a_provider_sends_the_exchange_ends_and_loses_nothing(
    dialect, name, data, cuts, response, content_type
):
    if response is Mode.NONE:
        return
    _, messages = exchange_of(dialect, data, cuts, content_type=content_type)

    out, answers, seen = await drive(RUNTIMES[name], messages, (Mode.BUFFERED, response))

    assert len(seen.ends) == 1
    assert sum(isinstance(answer, HeadersReply) for answer in answers) == 2
    if response in {Mode.STREAMED, Mode.FULL_DUPLEX_STREAMED}:
        assert out["response"] == data


async def test_an_answer_that_is_whole_is_held_once_for_those_who_read_it():
    data = json.dumps(chat_answer("hi")).encode()
    for mode in (Mode.BUFFERED, Mode.FULL_DUPLEX_STREAMED, Mode.STREAMED):
        cuts = [] if mode is Mode.BUFFERED else [3, 50]
        _, messages = exchange_of("openai.chat", data, cuts, content_type=b"application/json")

        out, _, seen = await drive(RUNTIMES["holding"], messages, (Mode.BUFFERED, mode))

        assert out["response"] == data
        assert seen.ends[0][1].ending == "completed"


@pytest.mark.parametrize("status", [b"", b"x", b"200 OK", b"99999999999", "²".encode(), None])
async def test_a_status_that_is_none_counts_as_no_success_and_fails_nothing(status):
    driven = Driven(runtime_with(p=READING))
    await driven.asked(STREAMED)
    pairs = () if status is None else ((":status", status),)

    await driven.headed((*pairs, ("content-type", b"text/event-stream")))

    assert driven.exchange.response.status == 0
