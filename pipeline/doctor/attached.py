"""Our filter, found in a dump: where it stands, and what it does on each route."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.doctor.dump import Dump, EnvoyRoute, Manager, upstream_filters
from pipeline.doctor.expected import Expected, union
from pipeline.doctor.values import Object, part, parts, text, truth, type_of
from pipeline.host.names import LEVEL_METADATA, ROUTE_METADATA
from pipeline.host.plan import RoutePlan

HOST_CLUSTER = "dragoman_host"
# What DEFAULT, and a key that is left out, means.
_DEFAULTS = {
    "request_header_mode": "SEND",
    "response_header_mode": "SEND",
    "request_body_mode": "NONE",
    "response_body_mode": "NONE",
    "request_trailer_mode": "SKIP",
    "response_trailer_mode": "SKIP",
}


@dataclass(frozen=True)
class OnRoute:
    """Our filter as it works on one route.

    Args:
        route: the route; None for the filter alone, where no route is known.
        where: its place, for people.
        disabled: whether the filter is off there.
        fails_open: `failure_mode_allow` there.
        mode: the processing mode there, every default filled in.
        plan: what the config's route of that name needs; None for a stranger.
    """

    route: EnvoyRoute | None
    where: str
    disabled: bool
    fails_open: bool
    mode: dict[str, str]
    plan: RoutePlan | None


@dataclass(frozen=True)
class Attached:
    """Our filter in one connection manager.

    Args:
        manager: the connection manager.
        filter: the HTTP filter.
        expected: the config's side, if it is known.
    """

    manager: Manager
    filter: Object
    expected: Expected | None

    @property
    def name(self) -> str:
        """The filter's name, by which routes override it."""
        return text(self.filter, "name")

    @property
    def config(self) -> Object:
        """The filter's own configuration."""
        return part(self.filter, "typed_config")

    @property
    def where(self) -> str:
        """Its place, for people."""
        return f"filter {self.name}, {self.manager.where}"

    @cached_property
    def routes(self) -> list[OnRoute]:
        """Return what it does on each route; on none in particular where none is the config's."""
        found = [self._on(route) for route in self.manager.routes]
        if self.expected is None or any(one.plan is not None for one in found):
            return found
        # Routes with names of their own: the host matches, so any may be any of the config's.
        plan = union("", self.expected.plans.values()) if self.expected.plans else None
        whole = OnRoute(
            None,
            self.where,
            disabled=False,
            fails_open=truth(self.config, "failure_mode_allow"),
            mode=_filled(part(self.config, "processing_mode")),
            plan=plan,
        )
        return [*found, whole]

    def _on(self, route: EnvoyRoute) -> OnRoute:
        disabled = truth(self.filter, "disabled")
        fails_open = truth(self.config, "failure_mode_allow")
        mode = part(self.config, "processing_mode")
        metadata = parts(part(self.config, "grpc_service"), "initial_metadata")
        for level in route.overrides:
            if self.name not in level:
                continue
            own = part(level, self.name)
            if type_of(own) == "FilterConfig":
                disabled = truth(own, "disabled")
                own = part(own, "config")
            else:
                disabled = truth(own, "disabled")
            overrides = part(own, "overrides")
            if "failure_mode_allow" in overrides:
                fails_open = truth(overrides, "failure_mode_allow")
            mode = part(overrides, "processing_mode") or mode
            metadata = parts(overrides, "grpc_initial_metadata") or metadata
        named = next((text(m, "value") for m in metadata if text(m, "key") == ROUTE_METADATA), "")
        plan = self.expected.plan(named or route.name) if self.expected is not None else None
        where = f"{route.where}, {self.manager.where}"
        return OnRoute(route, where, disabled, fails_open, _filled(mode), plan)


def attached(dump: Dump, expected: Expected | None, cluster: str) -> Iterator[Attached]:
    """Yield our filter in every connection manager that has it."""
    for manager in dump.managers:
        for one in manager.filters:
            if is_ext_proc(one) and target(one) == cluster:
                yield Attached(manager, one, expected)


def host_cluster_of(dump: Dump, expected: Expected | None) -> str:
    """Return the name of the cluster that is the host.

    It is the one that our own configuration names, or that a filter with our metadata points at,
    or whose endpoint is where the config says that the host listens.
    """
    if HOST_CLUSTER in dump.clusters:
        return HOST_CLUSTER
    for manager in dump.managers:
        for one in filter(is_ext_proc, manager.filters):
            service = part(one, "typed_config", "grpc_service")
            keys = {text(item, "key") for item in parts(service, "initial_metadata")}
            if LEVEL_METADATA in keys:
                return target(one)
    addresses = set(map(_plain, expected.addresses)) if expected is not None else set()
    for name, found in dump.clusters.items():
        if addresses & set(endpoints(found)):
            return name
    return HOST_CLUSTER


def is_ext_proc(http_filter: Object) -> bool:
    """Say whether an HTTP filter is an external processor, ours or another's."""
    return type_of(part(http_filter, "typed_config")) == "ExternalProcessor"


def target(http_filter: Object) -> str:
    """Return the cluster that an ext_proc filter points at."""
    return text(part(http_filter, "typed_config", "grpc_service", "envoy_grpc"), "cluster_name")


def attempts(dump: Dump, cluster: str) -> Iterator[tuple[str, Object]]:
    """Yield our filters of the upstream level, with the name of the cluster that has each."""
    for name, found in dump.clusters.items():
        for one in upstream_filters(found):
            if is_ext_proc(one) and target(one) == cluster:
                yield name, one


def endpoints(cluster: Object) -> list[str]:
    """Return the addresses of a cluster's endpoints, `host:port` or `unix:/path`."""
    found = (
        address_of(part(one, "endpoint", "address"))
        for locality in parts(part(cluster, "load_assignment"), "endpoints")
        for one in parts(locality, "lb_endpoints")
    )
    return [address for address in found if address]


def address_of(address: Object) -> str:
    """Return an address of Envoy's as the config would write it."""
    pipe = text(part(address, "pipe"), "path")
    if pipe:
        return f"unix:{pipe}"
    socket = part(address, "socket_address")
    host = text(socket, "address")
    bracketed = f"[{host}]" if ":" in host else host
    return f"{bracketed}:{socket.get('port_value')}" if host else ""


def _plain(address: str) -> str:
    path = address.removeprefix("unix:")
    return address if path == address else f"unix:{Path(path).absolute()}"


def _filled(mode: Object) -> dict[str, str]:
    given = {key: value for key, value in mode.items() if value != "DEFAULT"}
    return {key: str(given.get(key, default)) for key, default in _DEFAULTS.items()}
