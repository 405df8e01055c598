"""Redaction: lengths and structure stay, and nothing that a person wrote."""

from __future__ import annotations

import json
from typing import Any

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
    assert redact_body(redacted, frozenset({b"gpt-5"})) == redacted
    if not body.lstrip().startswith((b"{", b"[")):
        return
    try:
        shape, names = _read(body)
    except (ValueError, RecursionError):
        return
    again, renamed = _read(redacted)
    assert again == shape
    # Not `==`: an escape makes one name of two strings of bytes.
    assert all(new >= old for new, old in zip(renamed, names, strict=True))


def _read(body: bytes) -> tuple[object, list[int]]:
    """Return the shape of JSON, and of every object how many names it has.

    Raises:
        ValueError: it is no JSON as RFC 8259 has it.
    """
    document = json.loads(body.decode(), object_pairs_hook=_Object, parse_constant=_refused)
    return _shape(document), _named(document)


class _Object(list[tuple[str, Any]]):
    """The members of an object, those of the same name too."""


def _refused(constant: str) -> None:
    raise ValueError(constant)


def _shape(value: object) -> object:
    if isinstance(value, _Object):
        return [_shape(inner) for _, inner in value]
    if isinstance(value, list):
        return tuple(_shape(inner) for inner in value)
    return "number" if type(value) in {int, float} else type(value).__name__


def _named(value: object) -> list[int]:
    if isinstance(value, _Object):
        inner = [number for _, one in value for number in _named(one)]
        return [len({name for name, _ in value}), *inner]
    return [number for one in value for number in _named(one)] if isinstance(value, list) else []
