"""Errors of Bedrock: of responses, and exceptions inside streams."""

from __future__ import annotations

from typing import Any

import orjson

from pipeline.api import Headers
from plugins.translate.canonical import Json
from plugins.translate.formats import Fault
from plugins.translate.upstreams.anthropic_words import as_object

_MAX_MESSAGE = 2000  # characters of an error page
_EXCEPTIONS = {
    "ValidationException": 400,
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ModelNotReadyException": 429,
    "ThrottlingException": 429,
    "InternalServerException": 500,
    "ModelErrorException": 502,
    "ModelStreamErrorException": 502,
    "ServiceUnavailableException": 503,
    "ModelTimeoutException": 504,
}
# AWS blames the client for a model that failed or took too long; no client could do better.
_STATUS = {424: 502, 408: 504}
_CODES = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    429: "ThrottlingException",
    502: "ModelErrorException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}


def response_fault(status: int, headers: Headers, body: bytes) -> Fault:
    """Read an error response, JSON or not."""
    status = 502 if status < 400 else _STATUS.get(status, status)
    code = headers.get("x-amzn-errortype").partition(":")[0]
    try:
        document: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body[:_MAX_MESSAGE].decode("utf-8", "replace").strip()
        return _fault(status, code, "" if text.startswith("<") else text)
    document = as_object(document)
    # `com.amazon.coral.service#ThrottlingException`, in places with an address behind a colon.
    code = code or str(document.get("__type") or document.get("code") or "")
    code = code.rpartition("#")[2].partition(":")[0]
    message = document.get("message") or document.get("Message")
    return _fault(status, code, _with_original(message, document))


def exception_fault(name: str, document: Json) -> Fault:
    """Read an exception of a stream: `throttlingException`."""
    code = name[:1].upper() + name[1:]
    message = document.get("message") or document.get("Message")
    return _fault(_EXCEPTIONS.get(code, 502), code, _with_original(message, document))


def _with_original(message: Any, document: Json) -> str:
    """Add what the model itself said, where Bedrock passes it on."""
    parts = (message, document.get("originalMessage"))
    return ": ".join(str(part) for part in parts if part)


def _fault(status: int, code: str, message: str) -> Fault:
    text = message or f"the provider answered {status}"
    return Fault(status, code or _CODES.get(status) or "InternalServerException", text)
