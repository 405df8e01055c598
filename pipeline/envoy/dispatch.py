"""Dispatch: what Envoy can tell apart by itself, and what only the model in the body decides.

Envoy matches path, host and headers, never the body. A route that matches on the model therefore
shares one Envoy route with every later route that the same request could mean: these are its
candidates, and the host picks one of them once it has read the body.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.config.schema import MatchConfig, RouteConfig
from pipeline.host.overlap import covers_outside, overlaps
from pipeline.host.plan import RoutePlan


@dataclass(frozen=True, slots=True)
class Entry:
    """One Envoy route: what it matches, and the routes that it may stand for.

    Args:
        match: of which Envoy looks at path, host and headers.
        candidates: routes in config order; more than one only if a model tells them apart.
    """

    match: MatchConfig
    candidates: tuple[RouteConfig, ...]

    @property
    def name(self) -> str:
        """The candidates' names, as the gRPC metadata carries them."""
        return ",".join(route.name for route in self.candidates)

    @property
    def target(self) -> RouteConfig | None:
        """The route taken unless the host picks another; None if all need a certain model."""
        last = self.candidates[-1]
        return last if last.match.model is None else None

    @property
    def dispatches(self) -> bool:
        """Whether the host must read the model before the route is known."""
        return self.candidates[0].match.model is not None

    def plan(self, plans: Mapping[str, RoutePlan]) -> RoutePlan:
        """Return the needs of whichever candidate will be picked, all at once."""
        needs = [plans[route.name] for route in self.candidates]
        return replace(
            needs[-1],
            route=self.name,
            request_body=self.dispatches or needs[-1].request_body,
            response_headers=any(plan.response_headers for plan in needs),
            response_body=any(plan.response_body for plan in needs),
            fails_open=all(plan.fails_open for plan in needs),
            budget_s=max(plan.budget_s for plan in needs),
        )


def entries(routes: Sequence[RouteConfig]) -> Iterator[Entry]:
    """Yield what Envoy matches, in order, without what an earlier entry leaves nothing of."""
    seen: list[MatchConfig] = []
    for index, route in enumerate(routes):
        if any(covers_outside(match, route.match) for match in seen):
            continue
        seen.append(route.match)
        yield Entry(route.match, tuple(_candidates(routes[index:])))


def picked_by_host(routes: Sequence[RouteConfig]) -> list[RouteConfig]:
    """Return the routes that the host may have to name to Envoy, in config order.

    That is every route, once there is more than one: a plugin may rewrite what they match on.
    """
    return list(routes) if len(routes) > 1 else []


def _candidates(routes: Sequence[RouteConfig]) -> Iterator[RouteConfig]:
    first = routes[0].match
    for route in routes:
        if overlaps(route.match, first):
            yield route
            if route.match.model is None and covers_outside(route.match, first):
                return
