"""The digest of routes: two that differ must not be mixed, one in Envoy and one in the host."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from urllib.parse import urlsplit

from pipeline.config.schema import BackendConfig, Config
from pipeline.host.plan import RoutePlan


def backend_address(backend: BackendConfig) -> str:
    """Return what Envoy must know of a backend; path and credential are the host's business."""
    if backend.url is None:
        return f"of provider {backend.provider}"
    parts = urlsplit(backend.url)
    return f"{parts.scheme}://{parts.netloc}"


def route_digest(config: Config, plans: Mapping[str, RoutePlan], names: str) -> str:
    """Return a short hash of what Envoy sends for routes, and where; no secret is in it.

    Args:
        config: the config.
        plans: route names to what each route needs.
        names: of the routes, with commas between them.
    """
    routes = {route.name: route for route in config.routes}
    derived = [
        [
            name,
            asdict(plans[name]),
            [[one, backend_address(config.backends[one])] for one in routes[name].backend_names],
        ]
        for name in names.split(",")
        if name in routes
    ]
    packed = json.dumps(derived, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(packed.encode()).hexdigest()[:16]
