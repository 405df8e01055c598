"""Every client API with every provider: calls, what they ask for, answers, streams and errors."""

from __future__ import annotations

import json

import pytest

from pipeline.api import FrameDecoder, InvalidCall
from plugins.translate.clients import CLIENTS
from plugins.translate.translation import AnswerTranslation
from plugins.translate.upstreams import SPECS
from tests.support.translate_features import FEATURES, PLAIN, WITH_TOOLS
from tests.support.translate_matrix import (
    CHATS,
    DIALECTS,
    JSON,
    attempted,
    connection,
    folded,
    hello,
    hello_stream,
)

# Providers without such a switch cache by themselves; the answer is the same.
HINTS = {"cache_control", "cached", "prompt_cache_key"}
# `standard_only` is what every provider does that knows no tiers; an answer that is not stored is
# the same answer.
USUAL = {("anthropic.messages", "service_tier"), ("openai.chat", "store")}
CELLS = [
    pytest.param(spec, dialect, id=f"{dialect}-{spec.name}") for spec in SPECS for dialect in CHATS
]
EVERY_CELL = [
    pytest.param(spec, dialect, id=f"{dialect}-{spec.name}")
    for spec in SPECS
    for dialect in CLIENTS
]


ODD_BODIES = [b"", b"null", b"[]", b"{}", b"<html>", b'"x"', b'{"choices":[null]}', b'{"error":1}']
ODD_STREAMS = [
    b"",
    b"data: {}\n\n",
    b"data: null\n\ndata: []\n\n",
    b"data: <html>\n\n",
    b"event: error\ndata: oops\n\n",
    b"\x00\x00\x00\x10",
    b"\xff" * 64,
]
SAID = {
    "openai.chat": lambda document: document["choices"][0]["message"]["content"],
    "anthropic.messages": lambda document: document["content"][0]["text"],
    "openai.responses": lambda document: document["output"][0]["content"][0]["text"],
}


def translation(spec, dialect, *, stream=False):
    """Return what translates the answer to a plain call; None where it needs no translation."""
    more = {"stream": True} if stream else {}
    if stream and dialect == "openai.chat":
        more["stream_options"] = {"include_usage": True}
    return attempted(connection(spec), dialect, {**PLAIN[dialect], **more}).translation


def outcome(made, dialect, document):
    """Return the body that a backend is sent and what is reported, or the refusal's code."""
    try:
        attempt = attempted(made, dialect, document)
    except InvalidCall as refused:
        return refused.code
    return attempt.body, attempt.dropped


@pytest.mark.parametrize(("spec", "dialect"), EVERY_CELL)
def test_every_pair_is_served_or_refused_by_name(spec, dialect):
    try:
        attempt = attempted(connection(spec), dialect, PLAIN[dialect])
    except InvalidCall as refused:
        assert refused.code == "unsupported_by_backend"
        assert dialect not in CHATS
        assert 400 <= refused.status < 500
    else:
        assert attempt.headers.set[":path"].startswith("/")
        assert attempt.dropped == ()


@pytest.mark.parametrize(("spec", "dialect"), CELLS)
def test_whatever_a_call_asks_for_is_sent_reported_or_refused(spec, dialect):
    made = connection(spec)
    plain = PLAIN[dialect]
    if attempted(made, dialect, plain).translation is None:
        return  # the provider's own API: the call goes on as it is
    with_tools = {**plain, **FEATURES[dialect]["tools"]}
    asked = [(plain, name, more) for name, more in FEATURES[dialect].items()]
    if "tools" not in attempted(made, dialect, with_tools).dropped:
        asked += [(with_tools, name, more) for name, more in WITH_TOOLS[dialect].items()]

    silent = []
    for without, name, more in asked:
        before, after = (outcome(made, dialect, one) for one in (without, {**without, **more}))
        if isinstance(after, str):
            assert after == "unsupported_by_backend"
        elif before == after and name not in HINTS and (dialect, name) not in USUAL:
            silent.append(name)

    assert silent == []


@pytest.mark.parametrize(("spec", "dialect"), CELLS)
def test_a_strict_backend_refuses_what_another_reports(spec, dialect):
    made, strict = connection(spec), connection(spec, strict=True)
    asked = {**PLAIN[dialect], "a_vendors_field": {"a": 1}}
    dropped = attempted(made, dialect, asked).dropped

    if dropped:
        assert dropped == ("a_vendors_field",)
        assert outcome(strict, dialect, asked) == "lossy_translation"
    else:
        assert outcome(strict, dialect, asked) == outcome(made, dialect, asked)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("spec", "dialect"), CELLS)
def test_a_whole_answer_reaches_the_client(spec, dialect, streams):
    made = translation(spec, dialect, stream=streams)
    if made is None or made.begin(200, JSON).body == "keep":
        return

    told = made.whole(hello(spec))

    assert told.status is None
    document = folded(dialect, told.body) if streams else json.loads(told.body)
    assert SAID[dialect](document) == "Hello"
    assert DIALECTS[dialect].usage(document).output_tokens == 2


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(("spec", "dialect"), CELLS)
def test_a_stream_reaches_the_client_however_it_is_cut(spec, dialect, size):
    made = translation(spec, dialect, stream=True)
    headers, raw = hello_stream(spec)
    if made is None or made.begin(200, headers).body == "keep":
        return

    out = b"".join(made.feed(raw[at : at + size]) for at in range(0, len(raw), size)) + made.end()

    document = folded(dialect, out)
    assert SAID[dialect](document) == "Hello"
    assert DIALECTS[dialect].finish_reason(document) in ("stop", "end_turn", "completed")


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503, 529])
@pytest.mark.parametrize(("spec", "dialect"), CELLS)
def test_an_error_has_the_clients_shape(spec, dialect, status):
    for body in (*ODD_BODIES, b'{"error":{"message":"no","type":"t","code":"c"}}'):
        made = translation(spec, dialect)
        if made is None:
            return
        assert made.begin(status, JSON).body == "whole"

        told = made.whole(body)

        error = json.loads(told.body)["error"]
        assert error["message"]
        assert error["type"]
        assert told.status is not None
        assert told.status >= 400


@pytest.mark.parametrize(("spec", "dialect"), CELLS)
def test_odd_answers_are_answered_all_the_same(spec, dialect):
    for body in ODD_BODIES:
        made = translation(spec, dialect)
        if made is None or made.begin(200, JSON).body == "keep":
            return
        assert isinstance(json.loads(made.whole(body).body), dict)


@pytest.mark.parametrize(("spec", "dialect"), CELLS)
def test_a_stream_that_is_none_ends_in_an_error(spec, dialect):
    headers, _ = hello_stream(spec)
    for raw in ODD_STREAMS:
        made = translation(spec, dialect, stream=True)
        if not isinstance(made, AnswerTranslation):
            return  # what is no stream of the client's own API is not ours to judge
        made.begin(200, headers)

        out = made.feed(raw) + made.end()

        frames = [frame for frame in FrameDecoder(2**20).feed(out) if frame.data != "[DONE]"]
        assert '"error"' in (frames[-1].data or "")


@pytest.mark.parametrize(("spec", "dialect"), CELLS)
def test_a_stream_that_breaks_off_ends_in_an_error(spec, dialect):
    headers, raw = hello_stream(spec)
    made = translation(spec, dialect, stream=True)
    if not isinstance(made, AnswerTranslation):
        return
    made.begin(200, headers)

    out = made.feed(raw[: len(raw) // 2]) + made.end()

    frames = [frame for frame in FrameDecoder(2**20).feed(out) if frame.data != "[DONE]"]
    assert '"error"' in (frames[-1].data or "")
    assert made.feed(raw[len(raw) // 2 :]) == made.end() == b""
