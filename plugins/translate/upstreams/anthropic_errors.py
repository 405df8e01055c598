"""Errors of Anthropic and of its hosts: Anthropic's own shape, Google's, and AWS's."""

from __future__ import annotations

import re
from typing import Any

import orjson

from pipeline.api import Headers
from plugins.translate.canonical import Json
from plugins.translate.formats import Fault
from plugins.translate.upstreams.anthropic_words import ERROR_STATUS, as_object, error_type

_MAX_MESSAGE = 2000  # characters of an error page
_DELAY = re.compile(r"\d+(?:\.\d+)?s", re.ASCII)
_AWS_STATUS = {
    "validationException": 400,
    "throttlingException": 429,
    "internalServerException": 500,
    "modelStreamErrorException": 502,
    "serviceUnavailableException": 503,
    "modelTimeoutException": 504,
}


def response_fault(status: int, headers: Headers, body: bytes) -> Fault:
    """Read an error response, JSON or not."""
    if status < 400 or status == 424:  # 424: AWS's word for a model that failed
        status = 502
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Fault(status, error_type(status), _plain(status, body))
    if isinstance(document, list):  # Google wraps errors of streams
        document = document[0] if document else None
    document = as_object(document)
    error = document.get("error")
    if isinstance(error, dict):
        code = error.get("type") or error.get("status") or error.get("code")
        return _fault(status, code, error.get("message"), _retry_after_s(error.get("details")))
    code = headers.get("x-amzn-errortype").partition(":")[0] or document.get("__type")
    message = document.get("message") or document.get("Message") or error
    return _fault(status, str(code or "").rpartition("#")[2], message)


def event_fault(event: Json) -> Fault:
    """Read an `error` event of a stream."""
    error = as_object(event.get("error"))
    code = str(error.get("type") or "api_error")
    return _fault(ERROR_STATUS.get(code, 502), code, error.get("message"))


def exception_fault(name: str, data: str) -> Fault:
    """Read an exception of an AWS event stream."""
    try:
        document = as_object(orjson.loads(data))
    except orjson.JSONDecodeError:
        document = {}
    status = _AWS_STATUS.get(name[:1].lower() + name[1:], 502)
    return _fault(status, name, document.get("message") or document.get("Message"))


def _fault(status: int, code: Any, message: Any, retry_after_s: float | None = None) -> Fault:
    text = str(message) if message else f"the provider answered {status}"
    return Fault(status, str(code or error_type(status)), text, retry_after_s=retry_after_s)


def _retry_after_s(details: Any) -> float | None:
    """Read Google's `RetryInfo`, whose delay is written `30s`."""
    for detail in details if isinstance(details, list) else ():
        delay = as_object(detail).get("retryDelay")
        if isinstance(delay, str) and _DELAY.fullmatch(delay):
            return float(delay[:-1])
    return None


def _plain(status: int, body: bytes) -> str:
    text = body[:_MAX_MESSAGE].decode("utf-8", "replace").strip()
    if not text or text.startswith("<"):
        return f"the provider answered {status}"
    return text
