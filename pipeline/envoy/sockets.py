"""Sockets: how a cluster's connections are secured, each backend's in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from envoy_data_plane.envoy.config.cluster import v3 as cluster
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.extensions.transport_sockets.tls import v3 as tls
from envoy_data_plane.envoy.type.matcher import v3 as matcher
from envoy_data_plane.google.protobuf import Struct

from pipeline.config.tls import BackendTlsConfig
from pipeline.envoy.filters import pack

MATCHED_BY = "envoy.transport_socket_match"
"""Endpoint metadata that chooses one of a cluster's sockets."""

SOCKET_KEY = "tls"
"""The key in it."""

USUAL = "usual"
"""Its value for the socket that needs nothing of a backend's own."""

_CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/cert.pem",  # macOS, BSD
)


def find_ca_file() -> str:
    """Return this machine's bundle of certificate authorities."""
    return next((path for path in _CA_FILES if Path(path).is_file()), _CA_FILES[0])


def secure(
    made: cluster.Cluster, sockets: Sequence[tuple[str, core.TransportSocket] | None]
) -> None:
    """Give a cluster the sockets of its endpoints, each with its name; None is plain text."""
    distinct = dict(socket for socket in sockets if socket is not None)
    if all(sockets):
        # Envoy wants to see that all it may choose can agree on HTTP/2.
        made.transport_socket = next(iter(distinct.values()))
    if len(distinct) > 1 or not all(sockets):
        made.transport_socket_matches = [
            cluster.ClusterTransportSocketMatch(
                name=name, match=Struct.from_dict({SOCKET_KEY: name}), transport_socket=socket
            )
            for name, socket in distinct.items()
        ]


def tls_socket(
    server: str | None, ca_file: str, own: BackendTlsConfig | None = None
) -> core.TransportSocket:
    """Return a socket that speaks TLS and checks who answers.

    Args:
        server: name or IP address that the certificate must have; None for the endpoint's own.
        ca_file: the authorities, unless the backend has its own.
        own: the backend's own settings.
    """
    own = own or BackendTlsConfig()
    validation = tls.CertificateValidationContext(trusted_ca=_file(own.ca or ca_file))
    # An address is no server name, and no DNS name of a certificate.
    by_address = server is not None and is_address(server)
    if server is not None and by_address:
        validation.match_typed_subject_alt_names = [
            tls.SubjectAltNameMatcher(
                san_type=tls.SubjectAltNameMatcherSanType.IP_ADDRESS,
                matcher=matcher.StringMatcher(exact=server),
            )
        ]
    certificates = [
        tls.TlsCertificate(certificate_chain=_file(own.cert), private_key=_file(own.key))
    ]
    context = tls.UpstreamTlsContext(
        sni="" if server is None or by_address else server,
        auto_host_sni=server is None,
        auto_sni_san_validation=not by_address,
        common_tls_context=tls.CommonTlsContext(
            tls_certificates=certificates if own.cert is not None else [],
            validation_context=validation,
        ),
    )
    return core.TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def is_address(name: str) -> bool:
    """Say whether a host is written as an IP address."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _file(path: str | None) -> core.DataSource | None:
    # Envoy may run in another folder.
    return None if path is None else core.DataSource(filename=str(Path(path).absolute()))
