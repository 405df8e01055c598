"""Strict JSON: a body has one meaning, the standard library's, or is refused with a known code."""

from __future__ import annotations

import json
import math

from pipeline.dialects import strict_json
from pipeline.errors import InvalidCall

TOKENS = (
    b'"a":', b'"\\u0061":', b"\\u003a", b"\\ud83d\\ude00", b"\\ud800", b"1e5", b"-0", b"0.1",
    b"18446744073709551616", b"null", b"true", b"[", b"]", b"{", b"}", b",", b'""', b"\xc3\xa9",
    b"[" * 64, b"]" * 64, b'{"a":' * 8, b"}" * 8, b"\xef\xbb\xbf", b"\xed\xa0\x80", b"NaN",
)  # fmt: skip
_CODES = {"invalid_json", "invalid_utf8", "too_deep", "duplicate_key"}


def check(data: bytes) -> None:
    try:
        document = strict_json.loads(data)
    except InvalidCall as error:
        assert error.code in _CODES
        assert error.status == 400
        return
    assert same(document, json.loads(data, object_pairs_hook=_unique))
    written = strict_json.dumps(document)
    assert same(strict_json.loads(written), document)
    assert strict_json.dumps(strict_json.loads(written)) == written


def same(one: object, other: object) -> bool:
    """Say whether two documents are equal, types, order of keys and the sign of zero included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return math.copysign(1, one) == math.copysign(1, other) and one == other
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    assert len(document) == len(pairs), "a duplicate key was let through"
    return document
