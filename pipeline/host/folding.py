"""Folding: a route's only backend is served at the router level, with no stream per attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline.host.backends import Link
from pipeline.host.runtime import Route


def is_folded(links: Sequence[Link]) -> bool:
    """Say whether the router level does what a route's attempts need.

    It can where there is one backend: whichever attempt Envoy makes, path, credential, body and the
    answer's translation are the same. With several, only the attempt knows which one was picked.
    """
    return len(links) == 1


def shown(routes: Mapping[str, Route]) -> dict[str, Route]:
    """Return the routes with answers sent wherever a call may end on one that translates them.

    A plugin may rewrite what routes match on when the call has been read; what Envoy sends of the
    answer is decided by the route on which it came in.
    """
    translating = {route.name for route in routes.values() if route.translates_folded}
    return {
        name: _with_answers(route) if route.chain.may_reroute and translating - {name} else route
        for name, route in routes.items()
    }


def _with_answers(route: Route) -> Route:
    return replace(route, plan=replace(route.plan, response_headers=True, response_body=True))
