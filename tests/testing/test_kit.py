"""The small parts of the kit: cuts, time, documents, values, assertions, fixtures."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api import Plugin, PluginConfig, Refuse, Reply, Rewrite
from pipeline.errors import ConfigError
from pipeline.testing import (
    DIALECTS,
    Clock,
    Host,
    answer_document,
    answer_message,
    assert_answered,
    assert_decided,
    assert_refused,
    assert_replied,
    assert_rewrote,
    assert_unchanged_bytes,
    call_document,
    call_message,
    counted_ids,
    cuts,
    gzipped,
    make_answer,
    make_call,
    make_exchange,
    run_at,
    stream_events,
    stream_message,
    text_of,
)
from pipeline.testing.documents import SPEAKING, dialect_of


class Chooses(Plugin[PluginConfig]):
    """Does what the prompt says."""

    def on_request(self, exchange):
        match exchange.call.segments[-1].text:
            case "refuse":
                return Refuse(403, "no_entry", "no")
            case "reply":
                return Reply(exchange.answer("from here"))
            case "rewrite":
                return Rewrite(call=exchange.call.replace(model="other"))
            case "fail":
                raise RuntimeError
            case _:
                return None

    def on_response_event(self, event):
        return Refuse(502, "bad_word", "no") if "bad" in event.text else None


# --- cuts


@given(st.binary(max_size=200), st.integers(0, 50), st.integers(1, 9))
def test_pieces_add_up_to_the_bytes(data, seed, size):
    for cut in (cuts.whole, cuts.byte_by_byte, cuts.every(size), cuts.seeded(seed, size)):
        pieces = cut(data)

        assert pieces
        assert b"".join(pieces) == data


def test_equal_seeds_cut_equally_and_others_do_not():
    data = bytes(200)

    assert cuts.seeded(1)(data) == cuts.seeded(1)(data) != cuts.seeded(2)(data)


# --- time


def test_an_hour_s_sleep_takes_no_time():
    clock = Clock()
    begun, told = time.monotonic(), clock()

    async def wait():
        await asyncio.sleep(3600)
        return clock()

    assert run_at(clock, wait()) >= told + 3600
    assert time.monotonic() - begun < 5


def test_a_plugin_s_timeout_needs_no_waiting():
    class Slow(Plugin[PluginConfig]):
        async def on_request(self):
            await asyncio.sleep(60)

    clock = Clock()

    async def send():
        async with Host.of(Slow, clock=clock, timeout="30s", on_error="closed") as host:
            return await host.send(call_message("hi"))

    got = run_at(clock, send())

    assert_refused(got, "plugin_timeout", 503)
    assert got.outcome.steps[0].duration_s >= 30


def test_ids_are_counted():
    new_id = counted_ids("x")

    assert [new_id(), new_id()] == ["x-1", "x-2"]


# --- documents


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("text", ["one", ["one", "two", "three"]])
def test_calls_are_valid_and_say_what_was_asked_for(dialect, text):
    document = call_document(text, dialect=dialect, system="Be brief.", model="m2")
    api = dialect_of(dialect)

    api.check(document)

    assert api.model(document) == "m2"
    texts = "\n".join(segment.text for segment in api.segments(document))
    assert texts.endswith("one" if text == "one" else "one\ntwo\nthree")
    assert ("Be brief." in texts) is (dialect not in ("openai.embeddings", "cohere.rerank"))


@pytest.mark.parametrize("dialect", SPEAKING)
@given(texts=st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=5))
def test_a_stream_adds_up_to_the_whole_answer(dialect, texts):
    events = stream_events(*texts, dialect=dialect)
    api = dialect_of(dialect)

    assert [event.text for event in events if event.text] == texts
    assert sum(event.closes for event in [api.decode_event(*_frame(e)) for e in events]) == 1
    folded = api.fold(events)
    assert "".join(s.text for s in api.answer_segments(folded)) == "".join(texts)
    assert text_of(stream_message(*texts, dialect=dialect), dialect) == "".join(texts)


def _frame(event):
    return event.raw, event.name, "[DONE]" if event.data is None else json.dumps(event.data)


def test_an_embedding_is_an_answer_without_text():
    assert (
        dialect_of("openai.embeddings").answer_segments(
            answer_document(dialect="openai.embeddings")
        )
        == ()
    )


def test_an_unknown_dialect_is_an_error_that_names_the_known():
    with pytest.raises(LookupError, match=r"openai\.chat"):
        call_document(dialect="no.such")


def test_a_gzipped_message_has_the_same_plain_body():
    message = answer_message("hello")
    packed = gzipped(message)

    assert packed.body != message.body
    assert packed.plain == message.body
    assert packed.header("content-length") == str(len(packed.body))


def test_a_message_never_shows_its_body_or_a_header_s_value():
    shown = repr(call_message("a secret", headers={"authorization": "Bearer k-123"}))

    assert "secret" not in shown
    assert "k-123" not in shown


async def test_a_made_exchange_is_enough_for_a_hook():
    async def language(text):
        return f"language of {len(text)}"

    exchange = make_exchange(
        make_call("hi"), make_answer("hello"), tenant="t", signals={"language": language}
    )
    plugin = Chooses(PluginConfig(), name="p")

    assert plugin.on_request(exchange) is None
    assert await exchange.signals.get("language", "four") == "language of 4"
    assert (exchange.response.answer.text, exchange.tenant) == ("hello", "t")


# --- assertions


def test_assertions_hold_where_they_should(dragoman_host):
    host = dragoman_host(Chooses, on_error="closed")

    assert_unchanged_bytes(host.send(call_message("hi")))
    assert_answered(host.send(call_message("hi"), "to you"), "to you")
    assert_refused(host.send(call_message("refuse")), "no_entry", 403)
    assert_refused(host.send(call_message("refuse", dialect="anthropic.messages")), "no_entry")
    assert_refused(host.send(call_message("fail")), "plugin_error", 503)
    assert_refused(host.send(call_message("hi", stream=True), "a bad word"), "bad_word")
    assert_replied(host.send(call_message("reply")), "from here")
    assert_rewrote(host.send(call_message("rewrite")), "rewrite")
    assert_decided(host.send(call_message("rewrite")), "on_request", "rewrite")


@pytest.mark.parametrize(
    ("prompt", "check", "words"),
    [
        ("refuse", assert_unchanged_bytes, "never asked.*on_request: refuse.*403 no_entry"),
        ("rewrite", assert_unchanged_bytes, "request's body was changed"),
        ("hi", assert_rewrote, "as the client sent it"),
        ("rewrite", lambda got: assert_rewrote(got, "other"), "instead of"),
        ("hi", assert_refused, "nothing was refused"),
        ("refuse", lambda got: assert_refused(got, "other"), "code is 'no_entry'"),
        ("refuse", lambda got: assert_refused(got, status=400), "status is 403"),
        ("hi", assert_replied, "no plugin answered"),
        ("reply", lambda got: assert_replied(got, "other"), "the client read 'from here'"),
        ("hi", lambda got: assert_decided(got, "on_request", "refuse"), "did not decide refuse"),
    ],
)
def test_assertions_say_what_happened_instead(dragoman_host, prompt, check, words):
    got = dragoman_host(Chooses).send(call_message(prompt))

    with pytest.raises(AssertionError, match=words):
        check(got)


# --- hosts


def test_hosts_of_a_test_are_shut_down_with_it(dragoman_host):
    closed = []

    class Closes(Plugin[PluginConfig]):
        async def shutdown(self):
            closed.append(self.name)

    with type(dragoman_host)() as hosts:
        assert hosts(Closes).plugin().name == "plugin"
        assert closed == []

    assert closed == ["plugin"]


def test_a_config_that_is_wrong_is_reported(dragoman_host):
    with pytest.raises(ConfigError, match="no such option"):
        dragoman_host(Chooses, {"no": 1})


def test_a_whole_config_will_do(dragoman_host):
    config = "routes: [{name: chat, match: {path: /v1/chat/completions}}]"
    host = dragoman_host.of(Host(config))

    assert_unchanged_bytes(host.send(call_message("hi")))
    missed = host.send(call_message("hi", dialect="anthropic.messages"))
    assert (missed.error["status"], missed.outcome) == (404, None)


def test_the_clock_fixture_stands_still(dragoman_clock):
    before = dragoman_clock()
    dragoman_clock.advance(2)

    assert dragoman_clock() == before + 2
