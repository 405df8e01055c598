"""The closed set of decisions that a plugin may return; the host applies them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.api.answer import Answer, Event
from pipeline.api.call import Call
from pipeline.api.headers import NO_EDITS, HeaderEdits


@dataclass(frozen=True, slots=True)
class Continue:
    """Let the exchange go on unchanged; returning None means the same.

    Args:
        reason: why, for `explain` and the metrics: a few fixed words, never content.
    """

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Change what was given: the call, the answer, an event, or headers.

    Args:
        call: the new call; in `on_request` only.
        answer: the new answer; in `on_response` only.
        events: what stands in the place of the event given: none holds it back, several add;
            in `on_response_event` only.
        end: end the stream after `events`; in `on_response_event` only.
        headers: edits to the request's headers in request phases, to the response's in
            `on_response_headers`, and in `on_response` when the answer is not streamed.
        reason: why; a few fixed words, never content.
    """

    call: Call | None = None
    answer: Answer | None = None
    events: Sequence[Event] | None = None
    end: bool = False
    headers: HeaderEdits = field(default=NO_EDITS)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer the call here, without any provider; in request phases only.

    Args:
        answer: delivered as JSON, or as a stream when the client asked for one.
        headers: further response headers.
        reason: why; a few fixed words, never content.
    """

    answer: Answer
    headers: HeaderEdits = field(default=NO_EDITS)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse the call, or the answer, with an error in the client's own API format.

    Args:
        status: HTTP status, 400 to 599. Ignored once a stream has begun: that ends with an
            error event instead.
        code: stable, machine-readable, lower_snake.
        message: for people; never quotes the prompt.
        headers: further response headers, for instance `retry-after`.
        reason: why, for `explain` and the metrics; defaults to the code.
    """

    status: int
    code: str
    message: str
    headers: HeaderEdits = field(default=NO_EDITS)
    reason: str = ""


Decision = Continue | Rewrite | Reply | Refuse
CONTINUE = Continue()
