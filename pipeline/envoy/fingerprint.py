"""The fingerprint of what Envoy must know of a config: two that differ want another Envoy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipeline.config.schema import Config, RouteConfig
from pipeline.config.workers import worker_addresses
from pipeline.host.digest import backend_address
from pipeline.host.plan import RoutePlan

FINGERPRINT_KEY = "config"
"""Key in the metadata of the host's cluster or of the route table, under our namespace."""


def fingerprint(config: Config, plans: Mapping[str, RoutePlan]) -> str:
    """Return a short hash of all that Envoy's configuration is derived from; no secret is in it.

    Args:
        config: the config. What only the host reads (a plugin's options, a limit) is left out.
        plans: route names to what each route needs.
    """
    return hashlib.sha256(packed(envoys_part(config, plans)).encode()).hexdigest()[:16]


def envoys_part(config: Config, plans: Mapping[str, RoutePlan]) -> dict[str, Any]:
    """Return all that Envoy's configuration is derived from, as JSON values."""
    used = {name for route in config.routes for name in route.backend_names}
    return {
        "host": worker_addresses(config.server.address, config.server.workers),
        "tls": config.server.tls is not None,
        "envoy": config.envoy.model_dump(mode="json", exclude={"admin", "concurrency"}),
        "backends": {
            name: {
                "address": backend_address(backend),
                "host": backend.host,
                "tls": backend.tls.model_dump(mode="json") if backend.tls is not None else None,
            }
            for name, backend in config.backends.items()
            if name in used
        },
        "routes": [_route(route, plans.get(route.name)) for route in config.routes],
    }


def packed(value: object) -> str:
    """Return JSON values as text that is equal where they are."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _route(route: RouteConfig, plan: RoutePlan | None) -> dict[str, Any]:
    return {
        "name": route.name,
        "match": route.match.model_dump(mode="json", exclude_none=True),
        "backends": route.backends,
        "timeout": route.timeout,
        "idle_timeout": route.idle_timeout,
        "connect_timeout": route.connect_timeout,
        "retries": route.retries.model_dump(mode="json"),
        "outlier": route.outlier.model_dump(mode="json") if route.outlier is not None else None,
        "upgrades": route.other == "pass" and bool(route.backends),
        "plan": asdict(plan) if plan is not None else None,
    }
