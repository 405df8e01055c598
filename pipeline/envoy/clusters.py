"""Clusters: for each route its backends in order of priority."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.endpoint import v3 as endpoint
from envoy_data_plane.envoy.extensions.transport_sockets.tls import v3 as tls
from envoy_data_plane.envoy.extensions.upstreams.http import v3 as upstream_http
from envoy_data_plane.google.protobuf import Any, Struct

from pipeline.config.schema import Config, RouteConfig
from pipeline.envoy.filters import attempt_filters, pack
from pipeline.errors import ConfigError, Problem
from pipeline.host.names import BACKEND_KEY, METADATA_NAMESPACE
from pipeline.host.plan import RoutePlan

PROTOCOLS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_MATCHED_BY = "envoy.transport_socket_match"
_HTTP_PORT = 80
_HTTPS_PORT = 443
_CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/cert.pem",  # macOS, BSD
)
# Streams are long: Envoy's defaults of 1024 requests and 3 retries at once are too few.
NO_LIMIT = cluster.CircuitBreakers(
    thresholds=[
        cluster.CircuitBreakersThresholds(
            max_connections=65536,
            max_pending_requests=65536,
            max_requests=65536,
            max_retries=65536,
        )
    ]
)


def find_ca_file() -> str:
    """Return this machine's bundle of certificate authorities."""
    return next((path for path in _CA_FILES if Path(path).is_file()), _CA_FILES[0])


def cluster_name(route: RouteConfig) -> str:
    """Return the name of a route's cluster."""
    return f"route_{route.name}"


def route_cluster(
    route: RouteConfig,
    config: Config,
    plan: RoutePlan,
    default_urls: Mapping[str, str],
    ca_file: str,
) -> cluster.Cluster:
    """Return the cluster of a route's backends: the first takes all, the next its failures."""
    targets = [_target(name, config, default_urls) for name in route.backends]
    name = cluster_name(route)
    made = cluster.Cluster(
        name=name,
        type=cluster.ClusterDiscoveryType.STRICT_DNS,
        dns_lookup_family=cluster.ClusterDnsLookupFamily.V4_PREFERRED,
        connect_timeout=timedelta(seconds=5),
        load_assignment=endpoint.ClusterLoadAssignment(
            cluster_name=name,
            endpoints=[
                endpoint.LocalityLbEndpoints(priority=priority, lb_endpoints=[target.endpoint()])
                for priority, target in enumerate(targets)
            ],
        ),
        circuit_breakers=NO_LIMIT,
    )
    secured = [target.secure for target in targets]
    if all(secured):
        made.transport_socket = _tls(ca_file)
    elif any(secured):
        made.transport_socket_matches = [
            cluster.ClusterTransportSocketMatch(
                name="tls",
                match=Struct.from_dict({"tls": True}),
                transport_socket=_tls(ca_file),
            )
        ]
    made.typed_extension_protocol_options = {
        PROTOCOLS: _protocols(all(secured), config, plan if plan.attempts else None)
    }
    return made


@dataclass(frozen=True, slots=True)
class _Target:
    backend: str
    hostname: str
    port: int
    secure: bool

    @property
    def authority(self) -> str:
        """The host header that the backend gets; with TLS it is the SNI too, so without port."""
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return host if self.secure or self.port == _HTTP_PORT else f"{host}:{self.port}"

    def endpoint(self) -> endpoint.LbEndpoint:
        metadata = {METADATA_NAMESPACE: Struct.from_dict({BACKEND_KEY: self.backend})}
        if self.secure:
            metadata[_MATCHED_BY] = Struct.from_dict({"tls": True})
        return endpoint.LbEndpoint(
            endpoint=endpoint.Endpoint(
                address=socket_address(self.hostname, self.port), hostname=self.authority
            ),
            metadata=core.Metadata(filter_metadata=metadata),
        )


def _target(name: str, config: Config, default_urls: Mapping[str, str]) -> _Target:
    backend = config.backends[name]
    url = backend.url or default_urls.get(backend.provider)
    if not url:
        raise ConfigError(
            Problem(f"backends.{name}.url", f"provider {backend.provider!r} needs a base URL")
        )
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    return _Target(
        name, parts.hostname or "", parts.port or (_HTTPS_PORT if secure else _HTTP_PORT), secure
    )


def socket_address(host: str, port: int) -> core.Address:
    """Return an address of TCP."""
    return core.Address(socket_address=core.SocketAddress(address=host, port_value=port))


def _tls(ca_file: str) -> core.TransportSocket:
    context = tls.UpstreamTlsContext(
        auto_host_sni=True,
        auto_sni_san_validation=True,
        common_tls_context=tls.CommonTlsContext(
            validation_context=tls.CertificateValidationContext(
                trusted_ca=core.DataSource(filename=ca_file)
            )
        ),
    )
    return core.TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


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
