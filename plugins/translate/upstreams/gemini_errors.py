"""Google's errors: `google.rpc.Status` as JSON, alone or in an array."""

from __future__ import annotations

from typing import Any

import orjson

from pipeline.api import Headers
from plugins.translate.canonical import Json
from plugins.translate.formats import Fault
from plugins.translate.upstreams.anthropic_words import as_object

_MAX_MESSAGE = 2000  # characters of an error page
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_STATUSES = {code: status for status, code in _CODES.items()}


def response_fault(status: int, headers: Headers, body: bytes) -> Fault:  # noqa: ARG001
    """Read an error response, JSON or not."""
    status = status if status >= 400 else 502
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body[:_MAX_MESSAGE].decode("utf-8", "replace").strip()
        plain = text if text and not text.startswith("<") else f"the provider answered {status}"
        return Fault(status, _code(status), plain)
    return error_fault(document, status)


def error_fault(document: Any, status: int = 0) -> Fault:
    """Read an error's document.

    Args:
        document: what the provider sent.
        status: the response's HTTP status; 0 in a stream, where the document says it.
    """
    if isinstance(document, list):  # how streams that are no SSE begin
        document = document[0] if document else None
    error = as_object(document).get("error")
    if isinstance(error, str):  # OAuth's shape, from a token that was refused
        about = as_object(document).get("error_description")
        return Fault(status or 502, error, str(about or error))
    error = as_object(error)
    word = error.get("status")
    if not status:
        given = error.get("code")
        status = given if isinstance(given, int) else _STATUSES.get(str(word), 502)
        status = status if status >= 400 else 502
    details = [as_object(one) for one in error.get("details") or ()]
    if any(one.get("reason") == "API_KEY_INVALID" for one in details):
        status = 401  # Google says 400
    return Fault(
        status,
        str(word or _code(status)),
        str(error.get("message") or f"the provider answered {status}"),
        param=_param(details),
        retry_after_s=_retry_after_s(details),
    )


def _param(details: list[Json]) -> str | None:
    for one in details:
        for violation in one.get("fieldViolations") or ():
            if field := as_object(violation).get("field"):
                return str(field)
    return None


def _retry_after_s(details: list[Json]) -> float | None:
    for one in details:
        delay = one.get("retryDelay")
        if isinstance(delay, str) and delay.endswith("s"):
            try:
                return max(0.0, float(delay[:-1]))
            except ValueError:
                return None
    return None


def _code(status: int) -> str:
    return _CODES.get(status) or ("INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
