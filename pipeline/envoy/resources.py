"""Resources: the parts of Envoy's configuration that it takes anew while it runs.

Clusters and routes have a protocol for that (CDS, RDS), and so has the filter at the router level
(ECDS). What is left in the bootstrap wants a restart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pipeline.config.schema import Config
from pipeline.envoy.fingerprint import packed
from pipeline.host.digest import route_digest
from pipeline.host.names import DIGEST_METADATA, ROUTE_METADATA
from pipeline.host.plan import RoutePlan

CLUSTERS = "clusters"
ROUTES = "routes"
FILTER = "filter"
RESOURCES_FILE = "resources.json"
"""In a folder for each of the three: Envoy reads a file anew when one is moved into its folder."""

_DIGEST_LENGTH = 8
# As in `filters`, which takes most of a second to import.
_FILTER_NAME = "dragoman"
_PROTOCOLS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
# Beside what is told of attempts, which is never missed, all that a config changes in the filter.
_TIMEOUTS = ("message_timeout", "max_message_timeout")
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Resources:
    """What is published together.

    Args:
        fingerprint: of the config that it was made from.
        clusters: by name. The name says what is in it: a cluster that changes is another one, so
            that no request of the old routes meets the backends of the new.
        routes: the route table.
        filter: the filter at the router level.
        linger_s: the longest that an exchange may need its cluster.
    """

    fingerprint: str
    clusters: Mapping[str, Json]
    routes: Json
    filter: Json
    linger_s: float


def make_resources(
    config: Config,
    plans: Mapping[str, RoutePlan],
    clusters: Iterable[dict[str, Any]],
    routes: dict[str, Any],
    router_filter: Json,
    fingerprint: str,
) -> Resources:
    """Return the resources of Envoy's documents; clusters and routes are named anew in place.

    Args:
        config: the config.
        plans: route names to what each route needs.
        clusters: of the routes.
        routes: the route table.
        router_filter: the filter.
        fingerprint: of the config.
    """
    stamp = partial(route_digest, config, plans)
    made: dict[str, Json] = {}
    names: dict[str, str] = {}
    for cluster in clusters:
        protocols = cluster["typed_extension_protocol_options"][_PROTOCOLS]
        for extension in protocols.get("http_filters", []):
            service = extension["typed_config"].get("grpc_service", {})
            _name_digest(service.get("initial_metadata", []), stamp)
        digest = hashlib.sha256(packed(cluster).encode()).hexdigest()[:_DIGEST_LENGTH]
        name = f"{cluster['name']}_{digest}"
        names[cluster["name"]] = name
        cluster["alt_stat_name"] = cluster["name"]
        cluster["load_assignment"]["cluster_name"] = cluster["name"] = name
        made[name] = cluster
    for host in routes["virtual_hosts"]:
        for route in host["routes"]:
            overrides = route["typed_per_filter_config"][_FILTER_NAME]["overrides"]
            _name_digest(overrides.get("grpc_initial_metadata", []), stamp)
            action = route.get("route")
            if action is not None:
                action["cluster"] = names[action["cluster"]]
    # The chain takes a budget for the headers and one for the body before the cluster is needed.
    budget_s = max((plan.budget_s for plan in plans.values()), default=0.0) + config.envoy.slack
    linger_s = 2 * budget_s + max((route.timeout for route in config.routes), default=0.0)
    return Resources(fingerprint, made, routes, router_filter, linger_s)


def _name_digest(metadata: list[dict[str, str]], stamp: Callable[[str], str]) -> None:
    # So that the host serves each stream with the config that this one was made from.
    named = [item["value"] for item in metadata if item["key"] == ROUTE_METADATA]
    metadata += [{"key": DIGEST_METADATA, "value": stamp(names)} for names in named]


def patient(resources: Resources, other: Resources) -> Resources:
    """Return resources whose filter waits as long as that of either."""
    ours, theirs = resources.filter["typed_config"], other.filter["typed_config"]
    longest = {key: max(ours[key], theirs[key], key=_seconds) for key in _TIMEOUTS}
    return replace(resources, filter={**resources.filter, "typed_config": {**ours, **longest}})


def _seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))
