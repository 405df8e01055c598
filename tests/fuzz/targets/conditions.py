"""Conditions: a text is a boolean CEL expression that can be evaluated, or a ValueError."""

from __future__ import annotations

from types import SimpleNamespace

from pipeline.api.headers import Headers
from pipeline.host.conditions import Condition

TOKENS = tuple(
    b"route method path tenant headers model stream == != && || ! in has( .matches( .startsWith("
    b" .contains( .size() ? : [ ] ( ) ' \" \"a\" true false null 1 1.0 1u b'' r'' {} .map(x, x)"
    b" .exists(x, x) .all(x, x) int( string( timestamp( duration( size( type( dyn(".split()
)
_EXCHANGE = SimpleNamespace(
    route="chat",
    tenant=None,
    call=SimpleNamespace(model="m\udcff".encode("utf-8", "replace").decode(), stream=True),
    request=SimpleNamespace(
        method="POST", path="/v1/x", headers=Headers([("a", b"\xff"), ("a", b"2"), ("b", b"")])
    ),
)


def check(data: bytes) -> None:
    text = data[:2_000].decode("utf-8", "replace")
    try:
        condition = Condition(text)
    except ValueError as error:
        assert str(error).strip()
        return
    assert condition.needs_body in {True, False}
    try:
        assert condition.holds(_EXCHANGE) in {True, False}
    except LookupError:
        return
