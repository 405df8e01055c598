"""Clusters: for each route its backends in order of priority."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.endpoint import v3 as endpoint
from envoy_data_plane.envoy.extensions.upstreams.http import v3 as upstream_http
from envoy_data_plane.google.protobuf import Any, Struct

from pipeline.config.schema import Config, RouteConfig
from pipeline.config.tls import BackendTlsConfig
from pipeline.envoy.failover import (
    OVERPROVISIONING_PERCENT,
    circuit_breakers,
    outlier_detection,
    while_left_out,
)
from pipeline.envoy.filters import attempt_filters, pack
from pipeline.envoy.sockets import MATCHED_BY, SOCKET_KEY, USUAL, is_address, secure, tls_socket
from pipeline.errors import ConfigError, Problem
from pipeline.host.names import BACKEND_KEY, METADATA_NAMESPACE
from pipeline.host.plan import RoutePlan

PROTOCOLS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HTTP_PORT = 80
_HTTPS_PORT = 443
# Seen of Envoy 1.36 to 1.40: a buffer that crosses its mark while an upstream-level filter holds a
# response back, be it the backend's or that of the stream to the host, ends Envoy in a segmentation
# fault. Keep the mark out of reach: the listener's limit bounds bodies all the same.
NO_WATERMARK_BYTES = 2**30


def cluster_name(route: RouteConfig) -> str:
    """Return the name of a route's cluster."""
    return f"route_{route.name}"


def route_cluster(
    route: RouteConfig,
    config: Config,
    plan: RoutePlan,
    ca_file: str,
) -> cluster.Cluster:
    """Return the cluster of a route's backends: the first takes all, the next its failures."""
    targets = {one: _target(one, config) for one in route.backend_names}
    name = cluster_name(route)
    made = cluster.Cluster(
        name=name,
        type=cluster.ClusterDiscoveryType.STRICT_DNS,
        dns_lookup_family=cluster.ClusterDnsLookupFamily.V4_PREFERRED,
        connect_timeout=timedelta(seconds=route.connect_timeout),
        load_assignment=endpoint.ClusterLoadAssignment(
            cluster_name=name,
            endpoints=[
                endpoint.LocalityLbEndpoints(
                    priority=priority,
                    lb_endpoints=[targets[one].endpoint(weight) for one, weight in shares.items()],
                )
                for priority, shares in enumerate(route.backends)
            ],
            policy=endpoint.ClusterLoadAssignmentPolicy(
                overprovisioning_factor=OVERPROVISIONING_PERCENT
            ),
        ),
        circuit_breakers=circuit_breakers(route.retries),
    )
    if route.outlier is not None:
        made.outlier_detection = outlier_detection(route.outlier)
        made.common_lb_config = while_left_out()
    if plan.attempt_answer:
        made.per_connection_buffer_limit_bytes = NO_WATERMARK_BYTES
    secure(made, [target.socket(ca_file) for target in targets.values()])
    all_secure = all(target.secure for target in targets.values())
    made.typed_extension_protocol_options = {
        PROTOCOLS: _protocols(all_secure, config, plan if plan.attempts else None)
    }
    return made


@dataclass(frozen=True, slots=True)
class _Target:
    backend: str
    hostname: str
    port: int
    secure: bool
    host: str | None
    tls: BackendTlsConfig | None

    @property
    def authority(self) -> str:
        """The host header that the backend gets."""
        if self.host is not None:
            return self.host
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        usual_port = _HTTPS_PORT if self.secure else _HTTP_PORT
        return host if self.port == usual_port else f"{host}:{self.port}"

    @property
    def has_own_socket(self) -> bool:
        """Whether TLS takes more than the host header's name to be checked."""
        is_name = self.authority == self.hostname and not is_address(self.hostname)
        return self.tls is not None or not is_name

    def socket(self, ca_file: str) -> tuple[str, core.TransportSocket] | None:
        """Return the socket of the backend with its name, None for plain text."""
        if not self.secure:
            return None
        if not self.has_own_socket:
            return USUAL, tls_socket(None, ca_file)
        server = (self.tls and self.tls.sni) or self.hostname
        return f"backend {self.backend}", tls_socket(server, ca_file, self.tls)

    def endpoint(self, weight: int) -> endpoint.LbEndpoint:
        metadata = {METADATA_NAMESPACE: Struct.from_dict({BACKEND_KEY: self.backend})}
        if self.secure:
            name = f"backend {self.backend}" if self.has_own_socket else USUAL
            metadata[MATCHED_BY] = Struct.from_dict({SOCKET_KEY: name})
        return endpoint.LbEndpoint(
            endpoint=endpoint.Endpoint(
                address=socket_address(self.hostname, self.port), hostname=self.authority
            ),
            metadata=core.Metadata(filter_metadata=metadata),
            load_balancing_weight=weight,
        )


def _target(name: str, config: Config) -> _Target:
    backend = config.backends[name]
    url = backend.url
    if not url:
        raise ConfigError(
            Problem(f"backends.{name}.url", f"provider {backend.provider!r} needs a base URL")
        )
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    port = parts.port or (_HTTPS_PORT if is_secure else _HTTP_PORT)
    return _Target(name, parts.hostname or "", port, is_secure, backend.host, backend.tls)


def socket_address(host: str, port: int) -> core.Address:
    """Return an address of TCP."""
    return core.Address(socket_address=core.SocketAddress(address=host, port_value=port))


def _protocols(all_secure: bool, config: Config, attempts: RoutePlan | None) -> Any:
    # Only TLS can agree on HTTP/2; one plain endpoint keeps the whole cluster on HTTP/1.1.
    options = (
        upstream_http.HttpProtocolOptions(
            auto_config=upstream_http.HttpProtocolOptionsAutoHttpConfig(
                http_protocol_options=core.Http1ProtocolOptions(),
                http2_protocol_options=core.Http2ProtocolOptions(),
            )
        )
        if all_secure
        else upstream_http.HttpProtocolOptions(
            explicit_http_config=upstream_http.HttpProtocolOptionsExplicitHttpConfig(
                http_protocol_options=core.Http1ProtocolOptions()
            )
        )
    )
    if attempts is not None:
        options.http_filters = attempt_filters(config, attempts)
    return pack(options)
