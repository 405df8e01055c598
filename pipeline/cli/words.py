"""Words for what people read: durations, sizes, modes, matches, plans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.config.schema import MatchConfig
from pipeline.host.instances import Instance
from pipeline.host.runtime import Route


def seconds_words(seconds: float) -> str:
    """Write a duration as the config does: `250ms`, `1.5s`, `5m`."""
    if seconds and seconds < 1:
        return f"{seconds * 1000:g}ms"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def bytes_words(size: int) -> str:
    """Write a size as the config does: `512KiB`, `16MiB`."""
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def mode_words(instance: Instance) -> str:
    """Write an instance's mode as the config does."""
    share = instance.share_percent
    return {0: "shadow", 100: "enforce"}.get(share, f"{share}%")


def policies(instance: Instance) -> dict[str, Any]:
    """Return an instance's policies as they hold, by their keys in the config."""
    return {
        "timeout_s": instance.timeout_s,
        "on_error": "closed" if instance.fails_closed else "open",
        "mode": mode_words(instance),
        "when": instance.when.text if instance.when is not None else None,
    }


def match_words(match: MatchConfig) -> str:
    """Write what a route matches in one line."""
    parts = [
        f"{key} {value}"
        for key, value in (
            ("path", match.path),
            ("path prefix", match.path_prefix),
            ("host", match.host),
            *((f"header {name}", value) for name, value in match.headers.items()),
            ("model", match.model),
        )
        if value is not None
    ]
    return ", ".join(parts) or "everything"


def plan_words(route: Route) -> Iterator[tuple[str, str]]:
    """Word what Envoy sends for a route, part by part."""
    plan = route.plan
    yield "request headers", "sent"
    yield "request body", "sent whole (BUFFERED)" if plan.request_body else "not sent (NONE)"
    response = "sent" if plan.response_headers else "not sent (SKIP)"
    yield "response headers", response
    if plan.response_body:
        body = "JSON whole (BUFFERED), streams event by event (STREAMED by mode override)"
    else:
        body = "not sent (NONE)"
    yield "response body", body
    yield "message budget", f"{seconds_words(plan.budget_s)} for the host, then Envoy's slack"
    if plan.fails_open:
        yield "host gone", "requests go on without it (failure_mode_allow)"
    else:
        yield "host gone", "requests are refused with 503"
    if plan.attempts:
        sent = "headers and body (BUFFERED)" if plan.attempt_body else "headers"
        sent += ", and its answer" if plan.attempt_answer else ""
        yield "each attempt", f"a stream of its own at upstream level: {sent}"
    elif route.links:
        work = "prepared and its answer translated" if route.translates_folded else "prepared"
        yield "each attempt", f"{work} at router level: one backend, no second stream"
