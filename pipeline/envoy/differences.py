"""Differences: what an Envoy of one's own must be told after the config has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.config.schema import Config
from pipeline.envoy.fingerprint import envoys_part, packed
from pipeline.host.plan import RoutePlan

_Part = Mapping[str, Any]
_ENVOY = {
    "listen": "the listener's address",
    "body_limit": "the limits of bodies (`per_connection_buffer_limit_bytes`, "
    "`request_body_buffer_limit`)",
    "slack": "the filter's `message_timeout`",
    "host_tls": "TLS towards the host",
}
_BACKEND = {
    "address": "its address is another",
    "host": "the host header that it is sent is another",
    "tls": "TLS towards it is another",
}
_ROUTE = {
    "idle_timeout": "how long a backend may be silent (`per_try_idle_timeout`) has changed",
    "connect_timeout": "its cluster's `connect_timeout` has changed",
    "retries": "its retries (`retry_policy`, `retry_budget`) have changed",
    "outlier": "its cluster's `outlier_detection` has changed",
}


def differences(
    old_config: Config,
    old_plans: Mapping[str, RoutePlan],
    new_config: Config,
    new_plans: Mapping[str, RoutePlan],
) -> list[str]:
    """Return one sentence for each change; none exactly where the fingerprints are equal.

    Names alone are in them: no address, header value or credential.

    Args:
        old_config: what Envoy's configuration was made from.
        old_plans: route names to what each route needed.
        new_config: what it should be made from.
        new_plans: route names to what each route needs.
    """
    old, new = envoys_part(old_config, old_plans), envoys_part(new_config, new_plans)
    return [*_host(old, new), *_backends(old, new), *_routes(old, new)]


def _host(old: _Part, new: _Part) -> Iterator[str]:
    if _differ(old, new, "host"):
        yield "cluster of the host: its addresses are others"
    if _differ(old, new, "tls"):
        yield f"cluster of the host: it speaks {'TLS' if new['tls'] else 'plain text'} now"
    for key in sorted({*old["envoy"], *new["envoy"]}):
        if _differ(old["envoy"], new["envoy"], key):
            yield f"envoy.{key}: {_ENVOY.get(key, 'it')} must change"


def _backends(old: _Part, new: _Part) -> Iterator[str]:
    before, after = old["backends"], new["backends"]
    for name in sorted({*before, *after}):
        if name not in before:
            yield f"backend {name}: it is new in the clusters of its routes"
        elif name not in after:
            yield f"backend {name}: no route leads to it any more"
        else:
            yield from (
                f"cluster of backend {name}: {what}"
                for key, what in _BACKEND.items()
                if _differ(before[name], after[name], key)
            )


def _routes(old: _Part, new: _Part) -> Iterator[str]:
    before = {route["name"]: route for route in old["routes"]}
    after = {route["name"]: route for route in new["routes"]}
    for name, route in after.items():
        if name not in before:
            yield f"new route {name}"
        else:
            yield from (f"route {name}: {what}" for what in _route(before[name], route))
    for name in before:
        if name not in after:
            yield f"route {name} is gone"
    if [name for name in before if name in after] != [name for name in after if name in before]:
        yield "the order of the routes is another"


def _route(old: _Part, new: _Part) -> Iterator[str]:
    if _differ(old, new, "match"):
        yield "what it matches has changed"
    if _differ(old, new, "backends"):
        yield "its backends, their order or their weights have changed"
    if _differ(old, new, "timeout"):
        yield f"its timeout is now {new['timeout']:g} s"
    for key, what in _ROUTE.items():
        if _differ(old, new, key):
            yield what
    if _differ(old, new, "upgrades"):
        yield f"WebSockets {'may' if new['upgrades'] else 'must not'} pass now"
    if old["plan"] is None or new["plan"] is None:
        if _differ(old, new, "plan"):
            yield "its needs have changed"
        return
    yield from _plan(old["plan"], new["plan"])


_SENT = {
    "request_body": ("the request body", ("NONE", "BUFFERED")),
    "response_headers": ("the response headers", ("SKIP", "SEND")),
    "response_body": ("the response body", ("NONE", "BUFFERED")),
    "attempt_body": ("the body of each attempt", ("NONE", "BUFFERED")),
    "attempt_answer": ("the answer to each attempt", ("SKIP, NONE", "SEND, BUFFERED")),
}
"""Parts of a plan that say what Envoy sends: their names, and the modes without and with it."""


def _plan(old: _Part, new: _Part) -> Iterator[str]:
    for key in new:
        if not _differ(old, new, key):
            continue
        is_on = bool(new[key])
        if key in _SENT:
            what, modes = _SENT[key]
            sent = "must now be sent" if is_on else "need not be sent any more"
            yield f"{what} {sent} ({modes[is_on]})"
            continue
        match key:
            case "fails_open":
                does = "goes on" if is_on else "is refused"
                yield f"without the host it {does} now (failure_mode_allow: {str(is_on).lower()})"
            case "budget_s":
                yield f"the filter's message_timeout must cover {new[key]:g} s and the slack"
            case "attempts":
                needs = "needs" if is_on else "no longer needs"
                yield f"its cluster {needs} the upstream-level filter"
            case _:
                yield f"its plan has changed ({key})"


def _differ(old: _Part, new: _Part, key: str) -> bool:
    return packed(old.get(key)) != packed(new.get(key))
