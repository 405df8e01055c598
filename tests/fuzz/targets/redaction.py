"""Redaction: lengths and structure stay, and nothing that a person wrote."""

from __future__ import annotations

import json

from pipeline.observability.redaction import redact_body, redact_header
from tests.fuzz.vocabulary import WORDS

__all__ = ["TOKENS", "WORDS", "check"]
CANARY = b"QZJWKV"  # upper case: no key and no word of an API holds it
TOKENS = (
    CANARY, b'"', b"\\", b'\\"', b"data: ", b"event: ", b"\n\n", b"\r", b": ", b"id:", b"retry:",
    b"response.", b"[DONE]", b'"model":', b'"role":"', b'"type":"', b'"usage":', b"1e9", b"{", b"}",
    b"[", b"]", b",", b":", b"null", b"true", b"-", b" ", b"\t", b"\xef\xbb\xbf", b"\x00",
)  # fmt: skip


def check(data: bytes) -> None:
    for body in (data, b"data: " + data, data.replace(b"a", CANARY), data.replace(b"n", CANARY)):
        _body(body)
    for name in (":path", "authorization", "content-type", "x-any", "cookie"):
        value = b"?" + CANARY + data
        redacted = redact_header(name, value, {})
        assert len(redacted) == len(value)
        assert CANARY not in redacted or name == "content-type"


def _body(body: bytes) -> None:
    redacted = redact_body(body, frozenset({b"gpt-5"}))
    assert len(redacted) == len(body)
    assert CANARY not in redacted
    assert redact_body(redacted, frozenset({b"gpt-5"})).translate(None, b"0123456789") == (
        redacted.translate(None, b"0123456789")
    )
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict | list):
        assert _shape(json.loads(redacted)) == _shape(document)


def _shape(value: object) -> object:
    if isinstance(value, dict):
        return [_shape(inner) for inner in value.values()]
    if isinstance(value, list):
        return tuple(_shape(inner) for inner in value)
    return "number" if type(value) in {int, float} else type(value).__name__
