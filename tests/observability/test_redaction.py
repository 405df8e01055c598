"""Redaction: nothing that a person wrote stays, every length does."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.observability.redaction import mask, redact_body, redact_header

MODELS = frozenset({b"gpt-5"})
CANARY = "canary-4711"
TEXT = st.text(max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(TEXT | st.sampled_from(["role", "content", "model", "input"]), inner),
    max_leaves=12,
)  # fmt: skip


@given(VALUES, st.booleans())
def test_json_stays_json_of_the_same_length_and_shape(value, ascii_only):
    body = json.dumps({"messages": value}, ensure_ascii=ascii_only).encode("utf-8", "replace")

    masked = redact_body(body, MODELS)

    assert len(masked) == len(body)
    assert shape(json.loads(masked)) == shape(json.loads(body))


@given(st.binary(max_size=200))
def test_whatever_the_bytes_the_length_stays_and_once_is_enough(body):
    masked = redact_body(body, MODELS)

    assert len(masked) == len(body)
    assert redact_body(masked, MODELS) == masked or body[:1] not in b"{["


@given(VALUES, st.sampled_from(["messages", "input", "text", "unknown", "metadata", "role"]))
def test_no_text_of_a_person_is_left(value, key):
    hidden = canaried(value)
    body = json.dumps({key: hidden}, ensure_ascii=False).encode("utf-8", "replace")

    assert CANARY.encode() not in redact_body(body, MODELS)


def test_what_the_api_itself_says_stays():
    call = {
        "model": "gpt-5",
        "stream": True,
        "max_tokens": 20,
        "messages": [{"role": "user", "content": "user"}],
        "user": "user",
    }

    masked = json.loads(redact_body(json.dumps(call).encode(), MODELS))

    assert masked == {
        **call,
        "messages": [{"role": "user", "content": "xxxx"}],
        "user": "xxxx",
    }


def test_a_model_that_is_not_in_the_config_is_masked():
    assert redact_body(b'{"model":"gpt-6"}', MODELS) == b'{"model":"xxxxx"}'


def test_numbers_that_are_text_or_a_person_are_masked():
    body = b'{"input":[15339,1917],"user":4711,"embedding":[0.25,-1e5],"n":2}'

    assert redact_body(body, MODELS) == (
        b'{"input":[11111,1111],"user":1111,"embedding":[1.11,-1e1],"n":2}'
    )


def test_two_keys_of_a_person_stay_two():
    masked = redact_body(b'{"metadata":{"anna":1,"emma":2}}', MODELS)

    assert len(json.loads(masked)["metadata"]) == 2
    assert b"anna" not in masked
    assert b"emma" not in masked


def test_two_keys_of_one_byte_stay_two_however_many_there_are():
    keys = [chr(code) for code in range(0x20, 0x80) if chr(code) not in '"\\']
    masked = redact_body(json.dumps({"metadata": dict.fromkeys(keys, 1)}).encode(), MODELS)

    assert len(json.loads(masked)["metadata"]) == len(keys)


def test_a_key_that_stands_twice_stands_twice():
    masked = redact_body(b'{"anna":1,"emma":2,"anna":3,"model":4,"model":5}', MODELS)

    assert masked == b'{"xxxx":1,"xxx0":1,"xxxx":1,"model":1,"model":1}'


def test_a_stream_stays_a_stream():
    stream = (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":'
        b'{"type":"text_delta","text":"canary"}}\n\n: canary\nid: canary\ncanary: 1\n'
        b"event: response.output_text.delta\r\ndata: canary\r\n\r\nevent: canary\ndata: [DONE]\n\n"
    )

    assert redact_body(stream, MODELS) == (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":'
        b'{"type":"text_delta","text":"xxxxxx"}}\n\n: xxxxxx\nid: xxxxxx\nxxxxxx: x\n'
        b"event: response.output_text.delta\r\ndata: xxxxxx\r\n\r\nevent: xxxxxx\ndata: [DONE]\n\n"
    )


@pytest.mark.parametrize("field", [b"canary", b"data canary", b"Data", b"event", b""])
def test_only_data_says_that_a_stream_is_done(field):
    stream = b"data: [DONE]\n" + field + b": [DONE]\n\n"

    masked = redact_body(stream, MODELS)

    assert masked.startswith(b"data: [DONE]\n")
    assert masked.count(b"[DONE]") == 1
    assert b"canary" not in masked


@pytest.mark.parametrize(
    "body", [b'{"a": canary}', b"canary", b"\x1f\x8bcanary", b'{"a":"b"}canary']
)
def test_what_is_neither_is_masked(body):
    assert b"canary" not in redact_body(body, MODELS)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("authorization", b"Bearer sk-1", b"xxxxxx xxxx"),
        ("x-api-key", b"sk-1", b"xxxx"),
        ("x-team", b"blue", b"blue"),
        ("x-team", b"red", b"xxx"),
        (":path", b"/v1/chat?key=1", b"/v1/chat?xxxxx"),
        (":method", b"POST", b"POST"),
        ("content-type", b"application/json", b"application/json"),
        ("content-type", "ä".encode(), b"xx"),
    ],
)
def test_headers_show_what_is_known(name, value, shown):
    assert redact_header(name, value, {"x-team": frozenset({b"blue"})}) == shown


def test_white_space_stays():
    assert mask(b"a b\tc\r\n") == b"x x\tx\r\n"


def shape(value):
    match value:
        case dict():
            return [shape(inner) for inner in value.values()]
        case list():
            return [shape(inner) for inner in value]
        case bool() | None:
            return value
        case str():
            return "text"
        case _:
            return "number"


def canaried(value):
    match value:
        case dict():
            return {f"{CANARY}{key}": canaried(inner) for key, inner in value.items()}
        case list():
            return [canaried(inner) for inner in value]
        case str():
            return CANARY + value
        case _:
            return value
