"""The fingerprint of what Envoy must know of a config: two that differ want another Envoy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict

from pipeline.config.schema import Config
from pipeline.config.workers import worker_addresses
from pipeline.host.plan import RoutePlan

FINGERPRINT_KEY = "config"
"""Key in the metadata of the host's cluster, under our namespace."""


def fingerprint(config: Config, plans: Mapping[str, RoutePlan]) -> str:
    """Return a short hash of all that Envoy's configuration is derived from; no secret is in it.

    Args:
        config: the config. What only the host reads (a plugin's options, a limit) is left out.
        plans: route names to what each route needs.
    """
    derived = {
        "host": worker_addresses(config.server.address, config.server.workers),
        "tls": config.server.tls is not None,
        "envoy": config.envoy.model_dump(mode="json", exclude={"admin", "concurrency"}),
        "backends": {
            name: [backend.provider, backend.url] for name, backend in config.backends.items()
        },
        "routes": [
            [
                route.name,
                route.match.model_dump(mode="json", exclude_none=True),
                route.backends,
                route.timeout,
                asdict(plans[route.name]) if route.name in plans else None,
            ]
            for route in config.routes
        ],
    }
    packed = json.dumps(derived, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(packed.encode()).hexdigest()[:16]
