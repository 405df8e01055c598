"""Strict JSON: one meaning per body, or a refusal that names the fault and never the content."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import orjson

from pipeline.errors import InvalidCall

MAX_DEPTH = 64
# An event wraps what an answer holds.
_MAX_EVENT_DEPTH = 2 * MAX_DEPTH

# Every digit becomes `0` and every other byte `x`: one substring search then finds a long run of
# digits, twenty times faster than a regular expression.
_DIGITS = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x78 for byte in range(256))
_LONG_INTEGER = b"0" * 19  # the shortest run of digits that may not fit 64 bits


def loads(raw: bytes) -> Any:
    """Parse JSON; integers keep every digit.

    Raises:
        InvalidCall: `invalid_json`, `invalid_utf8`, `too_deep` or `duplicate_key`.
    """
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        _refuse(raw, error)
    if _opened(raw) > MAX_DEPTH and _is_deeper(document, MAX_DEPTH):
        raise _too_deep()
    written = orjson.dumps(document)
    if written == raw:
        return document  # nothing was lost: most clients write JSON as orjson does
    if _has_escaped_colon(raw):
        return _loads_slowly(raw)
    # Every pair has one colon and JSON writes none in another place than strings: a document that
    # is written with fewer than it was read from has lost a pair to another of the same key.
    if written.count(b":") != raw.count(b":"):
        raise _duplicate_key()
    if _LONG_INTEGER in raw.translate(_DIGITS):
        return _loads_slowly(raw)
    return document


def loads_object(raw: bytes) -> dict[str, Any]:
    """Parse JSON whose top level must be an object.

    Raises:
        InvalidCall: as `loads`, and `invalid_json` for another top level.
    """
    document = loads(raw)
    if not isinstance(document, dict):
        raise InvalidCall("the request body must be a JSON object", code="invalid_json")
    return document


def loads_event(data: str) -> dict[str, Any] | None:
    """Parse what an event of a stream holds; None when it is no JSON object that can be read.

    An upstream says it, and most readers take the last of two equal keys: so does this.
    """
    raw = data.encode("utf-8", "replace")
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict):
        return None
    if _opened(raw) > _MAX_EVENT_DEPTH and _is_deeper(document, _MAX_EVENT_DEPTH):
        return None  # nothing that goes down into it would come back
    if _LONG_INTEGER in raw.translate(_DIGITS):
        return json.loads(raw)  # type: ignore[no-any-return]
    return document


def dumps(document: Any) -> bytes:
    """Write compact UTF-8 JSON."""
    try:
        return orjson.dumps(document)
    except TypeError:
        # orjson refuses integers beyond 64 bits, which JSON allows.
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode()


def _loads_slowly(raw: bytes) -> Any:
    # Only for what orjson has accepted and what is not too deep: neither NaN nor a lone surrogate
    # nor a recursion error can come up here.
    return json.loads(raw, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise _duplicate_key()
    return document


def _has_escaped_colon(raw: bytes) -> bool:
    return b"\\u003" in raw and (b"\\u003a" in raw or b"\\u003A" in raw)


def _opened(raw: bytes) -> int:
    """Return how many levels a document opens at most, one after another or in each other."""
    return raw.count(b"{") + raw.count(b"[")


def _is_deeper(document: Any, levels: int) -> bool:
    level = [document]
    for _ in range(levels):
        level = [
            value
            for branch in level
            if isinstance(branch, (dict, list))
            for value in (branch.values() if isinstance(branch, dict) else branch)
            if isinstance(value, (dict, list))
        ]
        if not level:
            return False
    return True


def _refuse(raw: bytes, error: orjson.JSONDecodeError) -> NoReturn:
    # `from None`: the parser's error holds the whole body.
    try:
        raw.decode()
    except UnicodeDecodeError as bad:
        message = f"the body is not valid UTF-8 at byte {bad.start}"
        raise InvalidCall(message, code="invalid_utf8") from None
    if error.msg.startswith("depth limit"):
        raise _too_deep() from None
    message = f"the body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
    raise InvalidCall(message, code="invalid_json") from None


def _too_deep() -> InvalidCall:
    message = f"the body nests objects and arrays deeper than {MAX_DEPTH} levels"
    return InvalidCall(message, code="too_deep")


def _duplicate_key() -> InvalidCall:
    message = "an object in the body has the same key twice"
    return InvalidCall(message, code="duplicate_key")
