"""What hooks are given, made for a test: calls, answers, events, exchanges."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.api import Answer, Call, Exchange, Request, Response, SignalFunction, Signals
from pipeline.api.exchange import advance
from pipeline.api.headers import Headers
from pipeline.testing.documents import DEFAULT_DIALECT, answer_document, call_document, dialect_of


def make_call(
    text: str | Sequence[str] = "Hello.", *, dialect: str = DEFAULT_DIALECT, **fields: Any
) -> Call:
    """Return a call as a client wrote it; see `call_document`."""
    document = call_document(text, dialect=dialect, **fields)
    return Call(dialect_of(dialect), document, json.dumps(document).encode())


def make_answer(
    text: str = "Hello to you.", *, dialect: str = DEFAULT_DIALECT, **fields: Any
) -> Answer:
    """Return a provider's whole answer; see `answer_document`."""
    document = answer_document(text, dialect=dialect, **fields)
    return Answer(dialect_of(dialect), document, json.dumps(document).encode())


def make_exchange(
    call: Call | None = None,
    answer: Answer | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    tenant: str | None = None,
    route: str = "test",
    signals: Mapping[str, SignalFunction] | None = None,
    deadline_s: float = float("inf"),
) -> Exchange:
    """Return an exchange, to call one hook with and no host.

    Args:
        call: the call; None for a request whose body has not come.
        answer: what the provider said; None for a response that has not come.
        headers: of the request.
        tenant: who pays.
        route: the route's name.
        signals: functions by the names that plugins ask for.
        deadline_s: monotonic time by which the chain must have decided.
    """
    dialect = call.dialect if call is not None else dialect_of(DEFAULT_DIALECT)
    pairs = {"content-type": "application/json", **(headers or {})}.items()
    encoded = Headers((name, value.encode()) for name, value in pairs)
    exchange = Exchange(
        id="test-1",
        route=route,
        tenant=tenant,
        request=Request("POST", dialect.paths[0], "", "gateway.test", encoded),
        dialect=dialect,
        deadline_s=deadline_s,
        signals=Signals(signals or {}),
    )
    response = None
    if answer is not None:
        is_json = Headers((("content-type", b"application/json"),))
        response = Response(200, is_json, via_upstream=True, answer=answer)
    advance(exchange, call=call, response=response)
    return exchange
