"""The error document of OpenAI's APIs, which all of its formats share."""

from __future__ import annotations

from typing import Any

# OpenAI has no type of its own for 404: an unknown model or path is an `invalid_request_error`.
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    503: "service_unavailable_error",
}


def error_type(status: int) -> str:
    """Return OpenAI's word for the kind of fault that an HTTP status stands for."""
    return _TYPES.get(status) or ("server_error" if status >= 500 else "invalid_request_error")


def error_document(
    *, status: int, code: str, message: str, param: str | None = None
) -> dict[str, Any]:
    """Return the body of an error answer; `code` is stable, `message` is for people."""
    fault = {"message": message, "type": error_type(status), "param": param, "code": code}
    return {"error": fault}
