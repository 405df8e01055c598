"""Attempts of an only backend, folded into the router level: who sees what, and in which format."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api import HeaderEdits, Refuse, Rewrite, find_model
from pipeline.host.chain import NO_PLUGINS
from pipeline.host.preparing import ATTEMPT_BUDGET_S
from pipeline.host.verdicts import Pairs
from tests.support.chain import document_with, plugin, streamed_text
from tests.support.host import VIA_UPSTREAM, runtime_of
from tests.support.levels import (
    ANSWER,
    CALL,
    CHAT,
    JSON_HEAD,
    KNOWN,
    LINES,
    LINES_HEAD,
    STREAMED,
    Exchanged,
    at_two_levels,
    compiled,
    exchanged,
)

find_model("")  # reads its file, as a connection does when it starts
MESSAGES = "/v1/messages"
TEAPOT: Pairs = ((":status", b"418"), ("content-type", b"application/json"))
OWN_ERROR = {"response.code_details": "upstream_reset_before_response_started{x}"}


def looking(seen):
    """Make a plugin that notes what it is shown."""

    def on_headers(_, exchange):
        seen.append((exchange.response.status, exchange.response.headers.get("content-type")))

    return plugin(
        on_response_headers=on_headers,
        on_response=lambda _, exchange: seen.append(exchange.response.answer.text),
        on_response_event=lambda _, exchange, event: seen.append(event.text),
    )


def loud(one):
    """Return an answer or an event in capitals."""
    return one.replace(segments=[replace(s, text=s.text.upper()) for s in one.segments])


LOUD = plugin(
    on_response_headers=lambda _, exchange: Rewrite(headers=HeaderEdits(set={"x-loud": "1"})),
    on_response=lambda _, exchange: Rewrite(answer=loud(exchange.response.answer)),
    on_response_event=lambda _, exchange, event: (
        Rewrite(events=[loud(event)], end=event.text == "three") if event.text else None
    ),
)
WHOLE = plugin(on_response=lambda _, exchange: Rewrite(answer=loud(exchange.response.answer)))
PICKY = plugin(
    on_response_headers=lambda _, exchange: (
        Refuse(599, "picky", "no") if exchange.response.status != 200 else None
    )
)
IDLE = plugin(on_request=lambda _, exchange: None)
READER = plugin(read_only=True, on_request=lambda _, exchange: None)
CHAINS = {"none": {}, "loud": {"p": LOUD}, "whole": {"p": WHOLE}, "picky": {"p": PICKY}}
ONE = {name: compiled("b", **plugins) for name, plugins in CHAINS.items()}
TWO = {name: compiled("b", "next", **plugins) for name, plugins in CHAINS.items()}
RESPONSES = st.one_of(
    st.tuples(st.just(LINES_HEAD), st.sampled_from([LINES, b"one\ntwo\n", b".\n", b""])),
    st.tuples(
        st.sampled_from([JSON_HEAD, TEAPOT, ((":status", b"500"),), ((":status", b"204"),)]),
        st.sampled_from([ANSWER, b'{"oops": "no"}', b"<html>", b""]),
    ),
)

# --- what comes of a response


@pytest.mark.parametrize("chain", CHAINS)
@given(
    call=st.sampled_from([CALL, STREAMED]),
    response=RESPONSES,
    cuts=st.lists(st.integers(0, 20), max_size=4),
)
async def test_the_client_gets_the_same_at_whichever_level_it_is_translated(
    chain, call, response, cuts
):
    there = await at_two_levels(TWO[chain], call, *response, cuts)
    here = await exchanged(ONE[chain], *response, call, cuts=cuts)

    assert here.compared == there.compared


async def test_plugins_see_answers_in_the_clients_format():
    seen = []
    await exchanged(compiled("b", p=looking(seen)))

    assert seen == [(200, "application/json"), "pong"]


async def test_plugins_see_streams_in_the_clients_format():
    seen = []
    got = await exchanged(compiled("b", p=looking(seen)), LINES_HEAD, LINES, STREAMED, cuts=[5])

    assert seen == [(200, "text/event-stream"), "one", "two", "three", ""]
    assert streamed_text(got.body) == "onetwothree"


async def test_plugins_see_the_status_that_translation_gives():
    seen = []
    runtime = compiled("b", p=looking(seen))
    statuses = [
        (await exchanged(runtime, pairs, body)).status
        for pairs, body in ((TEAPOT, b'{"oops": "no"}'), (TEAPOT, b""), (JSON_HEAD, b"<html>"))
    ]

    assert statuses == [429, 429, 502]
    assert [status for status, _ in seen] == statuses


async def test_steps_are_reported_though_the_headers_waited_for_the_body():
    got = await exchanged(ONE["loud"])

    assert got.header("x-dragoman-plugins") == "p=rewrite"
    assert got.header("x-loud") == "1"


async def test_a_provider_that_fails_at_the_headers_is_shown_to_the_plugins():
    seen = []
    one = Exchanged(compiled("breaks", p=looking(seen)))
    await one.ask()
    got = await one.answer()

    assert (got.status, json.loads(got.body)["error"]["code"]) == (502, "provider_error")
    assert seen == [(502, "application/json")]
    assert (await one.over()).code == "provider_error"


async def test_envoys_own_error_is_not_taken_for_the_providers():
    seen = []
    own = ((":status", b"503"), ("content-type", b"application/json"))
    got = await exchanged(
        compiled("b", p=looking(seen)), own, b'{"error": {}}', attributes=OWN_ERROR
    )

    assert (got.status, got.body) == (503, b'{"error": {}}')
    assert seen == [(503, "application/json")]


async def test_an_encoded_answer_is_plain_for_provider_and_plugins():
    head = (*JSON_HEAD, ("content-encoding", b"gzip"))
    got = await exchanged(ONE["loud"], head, gzip.compress(ANSWER))

    assert b"PONG" in got.body
    assert got.header("content-encoding") == ""


async def test_an_event_that_is_too_large_for_the_plugins_ends_the_stream():
    document = {
        "backends": {"b": KNOWN["b"]},
        "routes": [{"name": "r", "plugins": ["p"], "backends": ["b"]}],
        "limits": {"event": "1KiB"},
    }
    document = document_with(document, p=LOUD)
    document["plugins"]["brings"] = {"uses": "tests.support.renaming:Brings"}
    one = Exchanged(runtime_of(document))
    await one.ask(STREAMED)
    got = await one.answer(LINES_HEAD, b"one\n" + b"x" * 2000 + b"\n.\n", cuts=[4])

    assert b"ONE" in got.body
    assert b"event_too_large" in got.body
    assert one.seen.violations == ["event_too_large"]
    assert (await one.over()).ending == "failed"


async def test_a_fault_in_the_stream_is_worded_by_the_provider_and_counted_once():
    one = Exchanged(ONE["none"])
    await one.ask(STREAMED)
    await one.session.response_headers(LINES_HEAD, ends=False, attributes=VIA_UPSTREAM)
    emit = one.session.fault_in_stream(status=502, code="answer_too_large", message="m")
    after = await one.session.response_bytes(b"more\n", ended=True)

    assert emit.end
    assert b"answer_too_large" in emit.data
    assert after.data == b""
    assert one.seen.violations == ["answer_too_large"]


async def test_the_status_is_known_where_no_plugin_looks():
    one = Exchanged(ONE["none"])
    await one.ask()
    await one.answer(TEAPOT, b'{"oops": "no"}')
    outcome = await one.over()

    assert (outcome.ending, outcome.status) == ("completed", 429)


async def test_what_the_backend_is_not_sent_is_in_the_outcome():
    one = Exchanged(ONE["none"])
    await one.ask({**CALL, "seed": 1, "made up": 2})
    await one.answer()

    assert (await one.over()).dropped == ("made?up", "seed")


async def test_what_one_of_several_is_not_sent_is_known_where_its_answer_is_shown():
    several = Exchanged(TWO["loud"])
    await several.ask()
    dropped = {"metadata.filter_metadata['dragoman']['dropped']": "seed, stop, and 9 more"}
    got = await several.answer(attributes={**VIA_UPSTREAM, **dropped})

    assert (await several.over()).dropped == ("seed", "stop")
    assert got.header("x-dragoman-dropped") == "seed, stop, and 9 more"


# --- what Envoy is asked to send


@pytest.mark.parametrize(
    ("plugins", "hides"),
    [({}, True), ({"p": READER}, True), ({"p": IDLE}, False), ({"p": LOUD}, False)],
)
async def test_answers_that_stay_as_they_are_are_not_sent(plugins, hides):
    one = Exchanged(compiled("native", **plugins))
    await one.ask()
    outcome = await one.over()

    assert one.headed.hides_answer == hides
    assert outcome.ending == ("completed" if hides else "cancelled")


async def test_answers_that_are_translated_are_sent():
    one = Exchanged(compiled("native"))
    verdict = await one.ask({**CALL, "max_tokens": 9}, path=MESSAGES)

    assert not one.headed.hides_answer
    assert not verdict.hides_answer


async def test_what_is_no_call_has_its_answer_hidden():
    routes = [{"name": "r", "backends": ["native"], "other": "pass"}]
    one = Exchanged(compiled(routes=routes))
    verdict = await one.ask(path="/v1/files", method=b"GET")

    assert verdict.hides_answer
    assert verdict.edits.set[":path"] == "/v1/files"


async def test_a_call_is_read_where_its_backend_needs_it():
    routes = [{"name": "r", "backends": ["native"], "check": False}]
    one, other = (Exchanged(compiled(routes=routes)) for _ in range(2))
    await one.ask()
    await other.ask({**CALL, "max_tokens": 9}, path=MESSAGES)

    assert one.headed.wish == "skip"
    assert other.headed.wish == "whole"


async def test_envoy_keeps_the_clients_path_for_its_own_errors():
    verdict = await Exchanged(compiled("native")).ask({**CALL, "max_tokens": 9}, path=MESSAGES)

    assert verdict.edits.set[":path"] == "/v1/chat/completions"
    assert verdict.report["path"] == MESSAGES


# --- another route than the one a call came in on

REROUTING = plugin(
    on_request=lambda _, exchange: Rewrite(headers=HeaderEdits(set={"x-to": "other"}))
)
ROUTES = [
    {"name": "other", "match": {"headers": {"x-to": "other"}}, "backends": ["b"]},
    {"name": "r", "plugins": ["p"], "backends": ["native"], "match": {"path": CHAT}},
]


async def test_a_call_that_ends_on_another_route_is_translated_too():
    runtime = compiled(routes=ROUTES, p=REROUTING)
    one = Exchanged(runtime, route="r")
    verdict = await one.ask()
    got = await one.answer()

    assert runtime.routes["r"].plan.response_body
    assert verdict.edits.set[":path"] == "/ask"
    assert json.loads(got.body)["choices"][0]["message"]["content"] == "pong"


@pytest.mark.parametrize("made", [READER, None])
def test_answers_are_sent_only_where_a_plugin_may_change_the_route(made):
    plugins = {} if made is None else {"p": made}
    routes = [ROUTES[0], {**ROUTES[1], "plugins": list(plugins)}]
    plan = compiled(routes=routes, **plugins).routes["r"].plan

    assert not plan.response_headers
    assert not plan.response_body


# --- time


async def test_envoy_is_asked_for_time_where_a_token_takes_some():
    slow, quick = Exchanged(compiled("slow")), Exchanged(compiled("b"))
    for one in (slow, quick):
        assert (await one.ask()).body is not None

    assert (slow.waits, quick.waits) == ([ATTEMPT_BUDGET_S], [])


def test_messages_have_time_where_large_bodies_are_translated():
    prefix, other = (compiled(name, p=IDLE).routes["r"] for name in ("native", "b"))
    exact = compiled(routes=[ROUTES[1]], p=IDLE).routes["r"]

    assert prefix.plan.budget_s == other.plan.budget_s > exact.plan.budget_s + 1
    # Which is not the plugins'.
    assert prefix.budget_s == other.budget_s == exact.budget_s


async def test_who_goes_on_without_plugins_is_translated_all_the_same():
    one = Exchanged(ONE["loud"], overloaded=lambda _: None)
    await one.ask()
    got = await one.answer()

    assert one.session._run.chain is NO_PLUGINS
    assert b"pong" in got.body
