"""A dump: what Envoy says of itself, as the parts that the doctor looks at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.doctor.values import Object, number, part, parts, text, type_of
from pipeline.errors import DragomanError

_MANAGER = "HttpConnectionManager"
_PROTOCOLS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_VERSION = re.compile(r"/(\d{1,4})\.(\d{1,4})\.(\d{1,4})/")
Version = tuple[int, int, int]


class NotADump(DragomanError):
    """Raised when a document is neither a config dump nor a bootstrap of Envoy's."""


@dataclass(frozen=True, slots=True)
class EnvoyRoute:
    """A route as Envoy runs it.

    Args:
        where: its place, for people.
        config: the route itself.
        overrides: `typed_per_filter_config` of all levels, the least specific first.
    """

    where: str
    config: Object
    overrides: tuple[Object, ...]

    @property
    def name(self) -> str:
        """The route's name, perhaps empty."""
        return text(self.config, "name")


@dataclass(frozen=True, slots=True)
class Manager:
    """An HTTP connection manager.

    Args:
        where: its listener, for people.
        config: the manager itself.
        buffer_bytes: the listener's buffer limit; None for Envoy's default.
        routes: every route that it may take.
        filters: its HTTP filters in order, discovered ones filled in.
        metadata: of its route table.
    """

    where: str
    config: Object
    buffer_bytes: int | None
    routes: tuple[EnvoyRoute, ...]
    filters: list[Object]
    metadata: Object


@dataclass(frozen=True, slots=True)
class Dump:
    """What Envoy runs.

    Args:
        managers: every HTTP connection manager.
        clusters: by name.
        runtime: runtime keys to values; None if they could not be read.
        version: Envoy's; None if unknown.
        statuses: by cluster, endpoints as Envoy sees them; empty if they could not be read.
    """

    managers: tuple[Manager, ...]
    clusters: Mapping[str, Object]
    runtime: Mapping[str, str] | None
    version: Version | None
    statuses: Mapping[str, list[Object]] = field(default_factory=dict)


def read_dump(
    config: Any, *, clusters: Any = None, runtime: Any = None, server_info: Any = None
) -> Dump:
    """Read what Envoy's admin endpoint says.

    Args:
        config: `/config_dump`, or a bootstrap.
        clusters: `/clusters?format=json`.
        runtime: `/runtime`.
        server_info: `/server_info`.

    Raises:
        NotADump: `config` is neither.
    """
    dumped = {type_of(one): one for one in parts(config, "configs")}
    if dumped:
        bootstrap = part(dumped.get("BootstrapConfigDump"), "bootstrap")
        listeners = list(_listeners(part(dumped.get("ListenersConfigDump"))))
        routes = list(_resources(dumped.get("RoutesConfigDump"), "route_config", "route_configs"))
        found = list(_resources(dumped.get("ClustersConfigDump"), "cluster", "clusters"))
        filters = [
            part(o, "ecds_filter") for o in parts(dumped.get("EcdsConfigDump"), "ecds_filters")
        ]
    elif "static_resources" in part(config):
        bootstrap, routes, filters = part(config), [], []
        listeners = parts(part(config, "static_resources"), "listeners")
        found = parts(part(config, "static_resources"), "clusters")
    else:
        raise NotADump("this is neither Envoy's /config_dump nor a bootstrap as JSON or YAML")
    tables = {text(one, "name"): one for one in routes}
    discovered = {text(one, "name"): part(one, "typed_config") for one in filters}
    return Dump(
        managers=tuple(_managers(listeners, tables, discovered)),
        clusters={text(one, "name"): one for one in found},
        runtime=_live_runtime(runtime) if runtime is not None else _static_runtime(bootstrap),
        version=_version(server_info, bootstrap),
        statuses={
            text(one, "name"): parts(one, "host_statuses")
            for one in parts(clusters, "cluster_statuses")
        },
    )


def upstream_filters(cluster: Object) -> list[Object]:
    """Return the HTTP filters of a cluster, which run once per attempt."""
    return parts(part(cluster, "typed_extension_protocol_options", _PROTOCOLS), "http_filters")


def _resources(dumped: Any, key: str, plural: str) -> Iterator[Object]:
    for kind in (f"static_{plural}", f"dynamic_{plural}", f"dynamic_active_{plural}"):
        for one in parts(dumped, kind):
            yield part(one, key)


def _listeners(dumped: Object) -> Iterator[Object]:
    for one in parts(dumped, "static_listeners"):
        yield part(one, "listener")
    for one in parts(dumped, "dynamic_listeners"):
        state = part(one, "active_state") or part(one, "warming_state")
        yield part(state, "listener")


def _managers(
    listeners: Iterable[Object], tables: Mapping[str, Object], discovered: Mapping[str, Object]
) -> Iterator[Manager]:
    for listener in listeners:
        chains = [*parts(listener, "filter_chains"), part(listener, "default_filter_chain")]
        for chain in chains:
            for one in parts(chain, "filters"):
                manager = part(one, "typed_config")
                if type_of(manager) != _MANAGER:
                    continue
                name = text(part(manager, "rds"), "route_config_name")
                table = part(manager, "route_config") or tables.get(name, {})
                yield Manager(
                    where=f"listener {text(listener, 'name') or '(no name)'}",
                    config=manager,
                    buffer_bytes=number(listener, "per_connection_buffer_limit_bytes"),
                    routes=tuple(_routes(table)),
                    filters=[
                        {**one, "typed_config": discovered.get(text(one, "name"), {})}
                        if "config_discovery" in one
                        else one
                        for one in parts(manager, "http_filters")
                    ],
                    metadata=part(table, "metadata"),
                )


def _routes(table: Object) -> Iterator[EnvoyRoute]:
    outer = part(table, "typed_per_filter_config")
    for host in parts(table, "virtual_hosts"):
        middle = part(host, "typed_per_filter_config")
        for index, route in enumerate(parts(host, "routes")):
            name = text(route, "name") or f"number {index + 1}"
            where = f"route {name} of virtual host {text(host, 'name') or '(no name)'}"
            yield EnvoyRoute(where, route, (outer, middle, part(route, "typed_per_filter_config")))


def _static_runtime(bootstrap: Object) -> dict[str, str]:
    layers = parts(part(bootstrap, "layered_runtime"), "layers")
    values: dict[str, str] = {}
    for layer in layers:
        for key, value in part(layer, "static_layer").items():
            values[key] = str(value).lower() if isinstance(value, bool) else str(value)
    return values


def _live_runtime(runtime: Any) -> dict[str, str]:
    return {key: text(one, "final_value") for key, one in part(runtime, "entries").items()}


def _version(server_info: Any, bootstrap: Object) -> Version | None:
    match = _VERSION.search(text(server_info, "version"))
    if match is not None:
        return int(match[1]), int(match[2]), int(match[3])
    built = part(bootstrap, "node", "user_agent_build_version", "version")
    if not built:
        return None
    major, minor, patch = (
        number(built, key) or 0 for key in ("major_number", "minor_number", "patch")
    )
    return major, minor, patch
