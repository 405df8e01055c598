"""The cluster of the host: one endpoint per worker, watched by health checks."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.endpoint import v3 as endpoint
from envoy_data_plane.envoy.extensions.transport_sockets.tls import v3 as tls
from envoy_data_plane.envoy.extensions.upstreams.http import v3 as upstream_http
from envoy_data_plane.envoy.type import v3 as types
from envoy_data_plane.envoy.type.matcher import v3 as matcher

from pipeline.config.quantities import split_address
from pipeline.config.schema import Config
from pipeline.config.workers import worker_addresses
from pipeline.envoy.clusters import NO_WATERMARK_BYTES, PROTOCOLS, socket_address
from pipeline.envoy.failover import circuit_breakers
from pipeline.envoy.filters import HOST_CLUSTER, pack
from pipeline.envoy.sockets import find_ca_file
from pipeline.errors import ConfigError, Problem

# The marks of a stream's own buffer, see `NO_WATERMARK_BYTES`; Envoy's default before 1.36.
_WINDOW_BYTES = 256 * 2**20
# Who was killed refuses connections until it is started again: the first stream that is lost tells,
# and not the next health check.
_GONE = cluster.OutlierDetection(
    split_external_local_origin_errors=True,
    consecutive_local_origin_failure=1,
    enforcing_consecutive_local_origin_failure=100,
    enforcing_success_rate=0,
    enforcing_local_origin_success_rate=0,
    max_ejection_percent=100,
    interval=timedelta(milliseconds=200),
    base_ejection_time=timedelta(milliseconds=500),
    max_ejection_time=timedelta(seconds=1),
)


def host_cluster(config: Config) -> cluster.Cluster:
    """Return the cluster of the ext_proc server: one endpoint per worker.

    Raises:
        ConfigError: the host wants a certificate of Envoy's and none is given.
    """
    server = config.server
    is_unix = server.address.startswith("unix:")
    kind = (
        cluster.ClusterDiscoveryType.STATIC if is_unix else cluster.ClusterDiscoveryType.STRICT_DNS
    )
    http2 = upstream_http.HttpProtocolOptionsExplicitHttpConfig(
        http2_protocol_options=core.Http2ProtocolOptions(
            initial_stream_window_size=_WINDOW_BYTES, initial_connection_window_size=_WINDOW_BYTES
        )
    )
    return cluster.Cluster(
        name=HOST_CLUSTER,
        type=kind,
        dns_lookup_family=cluster.ClusterDnsLookupFamily.V4_PREFERRED,
        connect_timeout=timedelta(seconds=1),
        per_connection_buffer_limit_bytes=NO_WATERMARK_BYTES,
        lb_policy=cluster.ClusterLbPolicy.LEAST_REQUEST,
        load_assignment=endpoint.ClusterLoadAssignment(
            cluster_name=HOST_CLUSTER,
            endpoints=[
                endpoint.LocalityLbEndpoints(
                    lb_endpoints=[
                        endpoint.LbEndpoint(endpoint=endpoint.Endpoint(address=_host_address(one)))
                        for one in worker_addresses(server.address, server.workers)
                    ]
                )
            ],
        ),
        transport_socket=_host_tls(config) if server.tls is not None else None,
        # A draining host says NOT_SERVING first and stops later: Envoy must look often enough.
        health_checks=[
            core.HealthCheck(
                timeout=timedelta(seconds=1),
                interval=timedelta(milliseconds=500),
                no_traffic_interval=timedelta(milliseconds=500),
                unhealthy_threshold=1,
                healthy_threshold=1,
                grpc_health_check=core.HealthCheckGrpcHealthCheck(),
            )
        ],
        outlier_detection=_GONE,
        common_lb_config=cluster.ClusterCommonLbConfig(
            # Only where every one says that it drains may a stream still go to one of them.
            healthy_panic_threshold=types.Percent(value=1.0),
            # Else Envoy keeps what it found to itself for up to a second, and its threads go on
            # giving streams to who is gone: the fewer it has the more it gets.
            update_merge_window=timedelta(0),
        ),
        circuit_breakers=circuit_breakers(),
        typed_extension_protocol_options={
            PROTOCOLS: pack(upstream_http.HttpProtocolOptions(explicit_http_config=http2))
        },
    )


def _host_address(address: str) -> core.Address:
    path = address.removeprefix("unix:")
    if path != address:
        return core.Address(pipe=core.Pipe(path=str(Path(path).absolute())))
    return socket_address(*split_address(address))


def _host_tls(config: Config) -> core.TransportSocket:
    given, wanted = config.envoy.host_tls, config.server.tls
    if wanted is not None and wanted.client_ca is not None and given.cert is None:
        message = "`server.tls.client_ca` wants a certificate of Envoy's: give `cert` and `key`"
        raise ConfigError(Problem("envoy.host_tls", message))
    name = given.name or split_address(config.server.address)[0]
    kinds = tls.SubjectAltNameMatcherSanType
    is_ip = name.replace(".", "").isdigit() or ":" in name
    san = tls.SubjectAltNameMatcher(
        san_type=kinds.IP_ADDRESS if is_ip else kinds.DNS,
        matcher=matcher.StringMatcher(exact=name),
    )
    own = [tls.TlsCertificate(certificate_chain=_file(given.cert), private_key=_file(given.key))]
    context = tls.UpstreamTlsContext(
        sni="" if is_ip else name,
        common_tls_context=tls.CommonTlsContext(
            tls_certificates=own if given.cert is not None else [],
            validation_context=tls.CertificateValidationContext(
                trusted_ca=_file(given.ca or find_ca_file()), match_typed_subject_alt_names=[san]
            ),
            alpn_protocols=["h2"],
        ),
    )
    return core.TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def _file(path: str | None) -> core.DataSource | None:
    # Envoy may run in another folder.
    return None if path is None else core.DataSource(filename=str(Path(path).absolute()))
