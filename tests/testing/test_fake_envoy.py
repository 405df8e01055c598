"""The fake Envoy does with the host's answers what Envoy does, and objects where Envoy would."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.api import HeaderEdits, Plugin, PluginConfig, Refuse, Rewrite
from pipeline.stream.machine import Machine
from pipeline.stream.messages import HeadersReply
from pipeline.testing import (
    Host,
    Mode,
    ProtocolBroken,
    Wire,
    answer_message,
    call_message,
    cuts,
    get,
    gzipped,
    json_response,
    run_at,
    stream_message,
)
from pipeline.testing.clock import Clock
from pipeline.testing.documents import SPEAKING

WIRES = [
    Wire(),
    Wire(Mode.STREAMED, Mode.STREAMED, cuts.byte_by_byte),
    Wire(Mode.BUFFERED, Mode.BUFFERED, trailers=True),
    Wire(Mode.BUFFERED_PARTIAL, Mode.BUFFERED_PARTIAL),
    Wire(Mode.FULL_DUPLEX_STREAMED, Mode.FULL_DUPLEX_STREAMED, cuts.seeded(3), trailers=True),
    Wire(Mode.NONE, Mode.NONE, cuts.every(7)),
]


class Loud(Plugin[PluginConfig]):
    """Writes calls and answers in capitals."""

    def on_request(self, exchange):
        return Rewrite(call=exchange.call.replace(segments=loud(exchange.call.segments)))

    def on_response(self, exchange):
        answer = exchange.response.answer
        return Rewrite(answer=answer.replace(segments=loud(answer.segments)))

    def on_response_event(self, event):
        return Rewrite(events=[event.replace(segments=loud(event.segments))])


class Quiet(Plugin[PluginConfig]):
    def on_request(self, exchange):
        return None

    def on_response(self, exchange):
        return None


class RefusesAnswers(Plugin[PluginConfig]):
    def on_response(self, exchange):
        return Refuse(502, "not_this", "not this answer")


class Marks(Plugin[PluginConfig]):
    def on_request_headers(self, exchange):
        return Rewrite(headers=HeaderEdits(set={"x-mark": "1"}, remove=frozenset({"x-gone"})))


def loud(segments):
    return [replace(s, text=s.text.upper()) if s.text else s for s in segments]


@pytest.mark.parametrize(
    ("wire", "pack"),
    [
        *((wire, lambda message: message) for wire in WIRES),
        *((wire, gzipped) for wire in WIRES if wire.request is not Mode.STREAMED),
    ],
)
@pytest.mark.parametrize("dialect", SPEAKING)
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
async def test_a_rewrite_reaches_the_provider_and_the_client_in_every_mode(
    wire, pack, dialect, streams
):
    fields = {"stream": True} if streams else {}
    answer = stream_message("salut", " à toi", dialect=dialect)
    if not streams:
        answer = answer_message("salut à toi", dialect=dialect)
    async with Host.of(Loud) as host:
        call = pack(call_message("hé", dialect=dialect, **fields))
        got = await host.send(call, pack(answer), wire=wire)

    assert (got.asked, got.said, got.ending) == (("HÉ",), "SALUT À TOI", "completed")


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.request.name)
@given(body=st.binary(max_size=300), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_bytes_that_nobody_changes_arrive_as_they_were_sent(wire, body, seed):
    async def send():
        async with Host.of(Quiet) as host:
            call, answer = call_message("hi"), json_response(body)
            cut = replace(wire, cut=cuts.seeded(seed))
            return call, answer, await host.send(call, answer, wire=cut)

    call, answer, got = run_at(Clock(), send())

    assert (got.upstream.body, got.client.body) == (call.body, answer.body)


async def test_headers_that_have_left_are_not_changed_by_what_their_body_brings():
    async with Host.of(Loud) as host:
        call = gzipped(call_message("hi"))
        got = await host.send(call, answer_message(), wire=Wire(Mode.STREAMED))

    assert got.upstream.header("content-encoding") == "gzip"
    assert got.upstream.body.startswith(b"{")


async def test_header_edits_are_carried_out():
    async with Host.of(Marks) as host:
        got = await host.send(call_message("hi", headers={"x-gone": "yes"}))

    assert got.upstream.header("x-mark") == "1"
    assert got.upstream.header("x-gone") == ""
    assert got.metadata["plugins"] == "plugin=rewrite"


async def test_a_request_without_a_body_has_one_message():
    async with Host.of(Marks) as host:
        got = await host.send(get("/v1/models"), json_response({"data": []}))

    assert (got.upstream.header("x-mark"), got.client.document) == ("1", {"data": []})


@pytest.mark.parametrize(
    ("mode", "is_cut_off"), [(Mode.STREAMED, True), (Mode.FULL_DUPLEX_STREAMED, False)]
)
async def test_an_answer_that_is_refused_after_its_headers_left_is_cut_off(mode, is_cut_off):
    async with Host.of(RefusesAnswers) as host:
        got = await host.send(call_message("hi"), wire=Wire(response=mode))

    assert got.client.is_cut_off is is_cut_off
    assert is_cut_off or got.error["code"] == "not_this"


async def test_an_exchange_that_is_closed_early_is_cancelled():
    async with Host.of(Quiet) as host:
        envoy = host.open()
        await envoy.open_request(call_message("hi"))
        outcome = await envoy.close()

    assert outcome.ending == "cancelled"


@pytest.mark.parametrize("replies", [[], [HeadersReply("request")] * 2, [HeadersReply("response")]])
async def test_a_message_without_its_one_answer_is_an_error(monkeypatch, replies):
    monkeypatch.setattr(Machine, "receive", lambda *_: (replies, None))
    expected = replies == [HeadersReply("response")]  # the kind is right: Envoy tells no sides
    async with Host.of(Quiet) as host:
        envoy = host.open()
        if expected:
            await envoy.open_request(call_message("hi"))
        else:
            with pytest.raises(ProtocolBroken):
                await envoy.open_request(call_message("hi"))


async def test_a_body_that_its_stated_length_does_not_fit_is_an_error():
    async with Host.of(Quiet) as host:
        wrong = replace(answer_message("hi"), body=b"{}")
        with pytest.raises(ProtocolBroken, match="content-length"):
            await host.send(call_message("hi"), wrong)
