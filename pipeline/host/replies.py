"""Answers that the host gives itself: errors and replies in the client's own API format."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.api.answer import Answer, Event
from pipeline.api.dialect import Dialect
from pipeline.dialects.openai_errors import error_document
from pipeline.dialects.strict_json import dumps
from pipeline.host.names import REPORT_HEADERS
from pipeline.host.verdicts import Finish

_RETRY_AFTER = {"overloaded": "1"}
JSON = "application/json"
SSE = "text/event-stream"


def refusal(
    dialect: Dialect | None,
    *,
    status: int,
    code: str,
    message: str,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Finish:
    """Word an error; where no dialect is known, in the form of OpenAI's errors."""
    if dialect is None:
        body = dumps(error_document(status=status, code=code, message=message, param=param))
    else:
        body = dumps(dialect.error(status=status, code=code, message=message, param=param))
    own = {"content-type": JSON}
    if code in _RETRY_AFTER:
        own["retry-after"] = _RETRY_AFTER[code]
    return Finish(status, {**(headers or {}), **own}, body, code)


def reply(answer: Answer, headers: Mapping[str, str]) -> Finish:
    """Deliver an answer as JSON."""
    return Finish(200, {**headers, "content-type": JSON}, answer.encode(), "reply")


def streamed_reply(events: list[Event], headers: Mapping[str, str]) -> Finish:
    """Deliver events as a whole stream."""
    body = b"".join(event.raw for event in events)
    stream = {"content-type": SSE, "cache-control": "no-cache"}
    return Finish(200, {**headers, **stream}, body, "reply")


def report_headers(report: Mapping[str, str]) -> dict[str, str]:
    """Turn a ledger's report into response headers."""
    return {header: report[key] for key, header in REPORT_HEADERS.items() if key in report}
