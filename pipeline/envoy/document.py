"""The documents: a whole bootstrap, and the part that joins somebody's own Envoy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from betterproto2 import Message
from envoy_data_plane.envoy.config.bootstrap import v3 as envoy
from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.overload import v3 as overload
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
from envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections import (
    v3 as connections,
)
from envoy_data_plane.google.protobuf import Struct

from pipeline.config.quantities import split_address
from pipeline.config.schema import Config
from pipeline.envoy.clusters import route_cluster
from pipeline.envoy.filters import FILTER as FILTER_NAME
from pipeline.envoy.filters import pack, router_filter
from pipeline.envoy.fingerprint import FINGERPRINT_KEY, fingerprint
from pipeline.envoy.host_cluster import host_cluster
from pipeline.envoy.listener import client_listener, enabled_by_routes
from pipeline.envoy.resources import (
    CLUSTERS,
    FILTER,
    RESOURCES_FILE,
    ROUTES,
    Resources,
    make_resources,
)
from pipeline.envoy.routes import TABLE, route_configuration
from pipeline.envoy.sockets import find_ca_file
from pipeline.host.names import METADATA_NAMESPACE, ROUTE_ATTRIBUTE
from pipeline.host.plan import RoutePlan

_MAX_CONNECTIONS = 50_000
# Without it every exchange ends in a cancelled gRPC stream, each of which leaks in grpcio.
_RUNTIME = {"envoy.reloadable_features.ext_proc_graceful_grpc_close": True}


def bootstrap_document(
    config: Config,
    plans: Mapping[str, RoutePlan],
    ca_file: str | None,
) -> dict[str, Any]:
    """See `pipeline.envoy.bootstrap.bootstrap`."""
    clusters = _clusters(config, plans, ca_file)
    routes = route_configuration(config, plans)
    static = envoy.BootstrapStaticResources(
        listeners=[client_listener(config, enabled_by_routes(config, plans), routes=routes)],
        clusters=[_host(config, plans), *clusters],
    )
    return _document(_bootstrap(config, static))


def watching_document(
    config: Config, plans: Mapping[str, RoutePlan], folder: Path
) -> dict[str, Any]:
    """See `pipeline.envoy.bootstrap.watching`."""
    router_level = enabled_by_routes(config, plans)
    packed_filter = router_level.typed_config
    assert packed_filter is not None  # noqa: S101 - made with one
    router_level.typed_config = None
    router_level.config_discovery = core.ExtensionConfigSource(
        config_source=_watched(folder / FILTER), type_urls=[packed_filter.type_url]
    )
    rds = hcm.Rds(route_config_name=TABLE, config_source=_watched(folder / ROUTES))
    static = envoy.BootstrapStaticResources(
        listeners=[client_listener(config, router_level, rds=rds)],
        # Without the fingerprint: a cluster that changes ends the streams of exchanges.
        clusters=[host_cluster(config)],
    )
    made = _bootstrap(config, static)
    made.dynamic_resources = envoy.BootstrapDynamicResources(cds_config=_watched(folder / CLUSTERS))
    return _document(made)


def resources_document(
    config: Config,
    plans: Mapping[str, RoutePlan],
    ca_file: str | None,
) -> Resources:
    """See `pipeline.envoy.bootstrap.resources`."""
    routes = route_configuration(config, plans)
    stamp = fingerprint(config, plans)
    routes.metadata = _stamp(stamp)
    extension = core.TypedExtensionConfig(
        name=FILTER_NAME, typed_config=enabled_by_routes(config, plans).typed_config
    )
    clusters = _clusters(config, plans, ca_file)
    return make_resources(
        config,
        plans,
        [_document(pack(one)) for one in clusters],
        _document(pack(routes)),
        _document(pack(extension)),
        stamp,
    )


def snippet_document(config: Config, plans: Mapping[str, RoutePlan]) -> dict[str, Any]:
    """See `pipeline.envoy.bootstrap.snippet`."""
    needs = plans.values()
    union = RoutePlan(
        route="",
        request_body=any(plan.request_body for plan in needs),
        response_headers=any(plan.response_headers for plan in needs),
        response_body=any(plan.response_body for plan in needs),
        fails_open=all(plan.fails_open for plan in needs),
        budget_s=max((plan.budget_s for plan in needs), default=0.0),
        attempts=False,
        attempt_body=False,
        attempt_answer=False,
    )
    extension = router_filter(config, needs, union, [ROUTE_ATTRIBUTE])
    return {
        "http_filters": [_document(extension)],
        "clusters": [_document(_host(config, plans))],
        "layered_runtime": _document(_runtime()),
    }


def _host(config: Config, plans: Mapping[str, RoutePlan]) -> cluster.Cluster:
    """Return the host's cluster; its metadata lets `doctor` see that another config made it."""
    made = host_cluster(config)
    made.metadata = _stamp(fingerprint(config, plans))
    return made


def _stamp(value: str) -> core.Metadata:
    stamp = Struct.from_dict({FINGERPRINT_KEY: value})
    return core.Metadata(filter_metadata={METADATA_NAMESPACE: stamp})


def _clusters(
    config: Config,
    plans: Mapping[str, RoutePlan],
    ca_file: str | None,
) -> list[cluster.Cluster]:
    return [
        route_cluster(route, config, plans[route.name], ca_file or find_ca_file())
        for route in config.routes
        if route.backends
    ]


def _bootstrap(config: Config, static: envoy.BootstrapStaticResources) -> envoy.Bootstrap:
    host, port = split_address(config.envoy.admin)
    return envoy.Bootstrap(
        node=core.Node(id="dragoman", cluster="dragoman"),
        admin=envoy.Admin(
            address=core.Address(socket_address=core.SocketAddress(address=host, port_value=port)),
            ignore_global_conn_limit=True,
        ),
        static_resources=static,
        layered_runtime=_runtime(),
        overload_manager=overload.OverloadManager(
            resource_monitors=[
                overload.ResourceMonitor(
                    name="envoy.resource_monitors.global_downstream_max_connections",
                    typed_config=pack(
                        connections.DownstreamConnectionsConfig(
                            max_active_downstream_connections=_MAX_CONNECTIONS
                        )
                    ),
                )
            ]
        ),
    )


def _watched(folder: Path) -> core.ConfigSource:
    return core.ConfigSource(
        path_config_source=core.PathConfigSource(
            path=str(folder / RESOURCES_FILE),
            watched_directory=core.WatchedDirectory(path=str(folder)),
        ),
        resource_api_version=core.ApiVersion.V3,
    )


def _runtime() -> envoy.LayeredRuntime:
    layer = envoy.RuntimeLayer(name="dragoman", static_layer=Struct.from_dict(_RUNTIME))
    return envoy.LayeredRuntime(layers=[layer])


def _document(message: Message) -> dict[str, Any]:
    return message.to_dict(casing=_as_it_is)  # type: ignore[arg-type]


def _as_it_is(name: str) -> str:
    # As Envoy spells it; betterproto's own snake case makes `consecutive_5_xx` of a `5xx`.
    return name
