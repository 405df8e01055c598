"""Errors of OpenAI and of the servers that copy it, each with a shape of its own."""

from __future__ import annotations

from typing import Any

import orjson

from pipeline.api import Headers
from plugins.translate.canonical import Json
from plugins.translate.formats import Fault

_MAX_MESSAGE = 2000  # characters of an error page
_CODES = {
    400: "invalid_request_error",
    401: "invalid_api_key",
    403: "permission_denied",
    404: "not_found",
    408: "timeout",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_exceeded",
    503: "overloaded",
    504: "timeout",
}
_STATUSES = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "insufficient_quota": 429,
    "invalid_request_error": 400,
    "BadRequestError": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "invalid_api_key": 401,
    "server_error": 500,
    "overloaded_error": 503,
}


def response_fault(status: int, headers: Headers, body: bytes) -> Fault:
    """Read an error response, JSON or not."""
    retry_ms = headers.get("retry-after-ms")
    retry_after_s = float(retry_ms) / 1000 if retry_ms.isdecimal() else None
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body[:_MAX_MESSAGE].decode("utf-8", "replace").strip()
        message = "" if text.startswith("<") else text
        return _fault(status, "", message, None, retry_after_s)
    if isinstance(document, list) and document:
        document = document[0]
    return error_fault(status, document, retry_after_s, is_response=True)


def error_fault(
    status: int, document: Any, retry_after_s: float | None = None, *, is_response: bool = False
) -> Fault:
    """Read an error's document.

    Args:
        status: HTTP status, or what stands in for it where a stream failed.
        document: what the server said.
        retry_after_s: when to try again.
        is_response: whether the status is the response's; else the error may know better.
    """
    if not isinstance(document, dict):
        return _fault(status, "", str(document or "")[:_MAX_MESSAGE], None, retry_after_s)
    error = document.get("error")
    error = error if isinstance(error, dict) else document
    code, kind = error.get("code"), error.get("type")
    # Mistral's codes are numbers: its types say more.
    words = (one for one in (code, kind) if isinstance(one, str) and not one.isdecimal())
    word = next((one for one in words if one), "")
    if not is_response:
        stated = code if isinstance(code, int) and 400 <= code <= 599 else None
        status = stated or _STATUSES.get(word) or _STATUSES.get(str(kind)) or status
    message = error.get("message") or document.get("error") or document.get("detail")
    param = error.get("param")
    param = param if isinstance(param, str) and param else None
    return _fault(status, word, _said(message), param, retry_after_s)


def _said(message: Any) -> str:
    if isinstance(message, str):
        return message
    if isinstance(message, list):  # FastAPI's validation errors
        return "; ".join(_validation(one) for one in message if isinstance(one, dict))
    if isinstance(message, dict):
        return str(message.get("message") or message.get("detail") or "")
    return ""


def _validation(error: Json) -> str:
    place = error.get("loc")
    where = ".".join(str(step) for step in place) if isinstance(place, (list, tuple)) else ""
    said = str(error.get("msg") or "is invalid")
    return f"{where}: {said}" if where else said


def _fault(
    status: int, code: str, message: str, param: str | None, retry_after_s: float | None
) -> Fault:
    if status < 400:
        status = 502
    default = "upstream_error" if status >= 500 else "invalid_request_error"
    return Fault(
        status,
        code or _CODES.get(status, default),
        message or f"the provider answered {status}",
        param,
        retry_after_s,
    )
