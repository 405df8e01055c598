"""What the config says that Envoy should run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pipeline.config.schema import Config
from pipeline.config.workers import worker_addresses
from pipeline.envoy.fingerprint import fingerprint
from pipeline.host.plan import RoutePlan


@dataclass(frozen=True, slots=True)
class Expected:
    """The config's side.

    Args:
        plans: what each route needs, by name.
        addresses: where the host listens, one per worker.
        fingerprint: of what Envoy's configuration is derived from.
        request_bytes: largest request body that the host takes.
        response_bytes: largest answer that the host holds.
        slack_s: what Envoy waits beyond a chain's budget.
    """

    plans: Mapping[str, RoutePlan]
    addresses: tuple[str, ...]
    fingerprint: str
    request_bytes: int
    response_bytes: int
    slack_s: float

    def plan(self, names: str) -> RoutePlan | None:
        """Return the needs of a route, or of all of several candidates; None for strangers."""
        found = [self.plans[name] for name in names.split(",") if name in self.plans]
        return union(names, found) if found else None


def expect(config: Config, plans: Mapping[str, RoutePlan]) -> Expected:
    """Return what a config expects of Envoy."""
    return Expected(
        plans=plans,
        addresses=worker_addresses(config.server.address, config.server.workers),
        fingerprint=fingerprint(config, plans),
        request_bytes=config.limits.request_body,
        response_bytes=config.limits.response_body,
        slack_s=config.envoy.slack,
    )


def union(name: str, plans: Iterable[RoutePlan]) -> RoutePlan:
    """Return the needs of several routes at once, as Envoy's one route for them has them."""
    needs = list(plans)
    dispatches = len(needs) > 1
    return replace(
        needs[-1],
        route=name,
        request_body=dispatches or needs[-1].request_body,
        response_headers=any(plan.response_headers for plan in needs),
        response_body=any(plan.response_body for plan in needs),
        fails_open=all(plan.fails_open for plan in needs),
        budget_s=max(plan.budget_s for plan in needs),
    )
