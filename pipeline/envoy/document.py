"""The documents: a whole bootstrap, and the part that joins somebody's own Envoy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from betterproto2 import Casing, Message
from envoy_data_plane.envoy.config.bootstrap import v3 as envoy
from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.overload import v3 as overload
from envoy_data_plane.envoy.extensions.resource_monitors.downstream_connections import (
    v3 as connections,
)
from envoy_data_plane.google.protobuf import Struct

from pipeline.config.quantities import split_address
from pipeline.config.schema import Config
from pipeline.envoy.clusters import find_ca_file, route_cluster
from pipeline.envoy.filters import pack, router_filter
from pipeline.envoy.fingerprint import FINGERPRINT_KEY, fingerprint
from pipeline.envoy.host_cluster import host_cluster
from pipeline.envoy.listener import client_listener
from pipeline.host.names import METADATA_NAMESPACE, ROUTE_ATTRIBUTE
from pipeline.host.plan import RoutePlan

_MAX_CONNECTIONS = 50_000
# Without it every exchange ends in a cancelled gRPC stream, each of which leaks in grpcio.
_RUNTIME = {"envoy.reloadable_features.ext_proc_graceful_grpc_close": True}


def bootstrap_document(
    config: Config,
    plans: Mapping[str, RoutePlan],
    default_urls: Mapping[str, str],
    ca_file: str | None,
) -> dict[str, Any]:
    """See `pipeline.envoy.bootstrap.bootstrap`."""
    host, port = split_address(config.envoy.admin)
    clusters = [
        route_cluster(route, config, plans[route.name], default_urls, ca_file or find_ca_file())
        for route in config.routes
        if route.backends
    ]
    return _document(
        envoy.Bootstrap(
            node=core.Node(id="dragoman", cluster="dragoman"),
            admin=envoy.Admin(
                address=core.Address(
                    socket_address=core.SocketAddress(address=host, port_value=port)
                ),
                ignore_global_conn_limit=True,
            ),
            static_resources=envoy.BootstrapStaticResources(
                listeners=[client_listener(config, plans)],
                clusters=[_host(config, plans), *clusters],
            ),
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
    stamp = {FINGERPRINT_KEY: fingerprint(config, plans)}
    made.metadata = core.Metadata(filter_metadata={METADATA_NAMESPACE: Struct.from_dict(stamp)})
    return made


def _runtime() -> envoy.LayeredRuntime:
    layer = envoy.RuntimeLayer(name="dragoman", static_layer=Struct.from_dict(_RUNTIME))
    return envoy.LayeredRuntime(layers=[layer])


def _document(message: Message) -> dict[str, Any]:
    # Snake case is how Envoy's own documentation spells its fields.
    return message.to_dict(casing=Casing.SNAKE)
