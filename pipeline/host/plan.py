"""What Envoy must be told to send for a route: nothing that its plugins and backends don't use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """The ext_proc needs of one route, derived from its compiled chain.

    Args:
        route: the route's name.
        request_body: request bodies are sent, BUFFERED.
        response_headers: response headers are sent, to plugins or to be translated.
        response_body: answers are sent: JSON BUFFERED, streams STREAMED by mode override.
        fails_open: Envoy goes on without the host when the host is gone; only where no plugin
            of the route fails closed.
        budget_s: the longest that the host may take over one message.
        attempts: each attempt opens an upstream-level stream; False where the route has at most
            one backend, so that the work of its attempts is folded into the router level.
        attempt_body: attempts are sent the request body, BUFFERED.
        attempt_answer: attempts are sent their answers: JSON BUFFERED, streams STREAMED, or
            nothing, by mode override.
    """

    route: str
    request_body: bool
    response_headers: bool
    response_body: bool
    fails_open: bool
    budget_s: float
    attempts: bool
    attempt_body: bool
    attempt_answer: bool
