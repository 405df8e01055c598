"""TLS of the gRPC server: certificate files, read again when they change."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import cast

import grpc

from pipeline.config.tls import ServerTlsConfig
from pipeline.errors import DragomanError
from pipeline.observability.logs import get_logger

Stamp = tuple[tuple[int, int, int], ...]


class BadCertificate(DragomanError):
    """Raised when the files are no certificate with its key."""


class Certificates:
    """The files of `server.tls`.

    Args:
        settings: their paths.
    """

    def __init__(self, settings: ServerTlsConfig) -> None:
        self._cert = Path(settings.cert)
        self._key = Path(settings.key)
        self._client_ca = Path(settings.client_ca) if settings.client_ca is not None else None
        self._stamp: Stamp = ()

    def credentials(self) -> grpc.ServerCredentials:
        """Return what a gRPC server is given; each handshake looks whether the files changed.

        Raises:
            BadCertificate: they cannot be used.
        """
        fetch = cast("Callable[[], grpc.ServerCertificateConfiguration]", self._changed)
        return grpc.dynamic_ssl_server_credentials(
            self._load(), fetch, require_client_authentication=self._client_ca is not None
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the files' content where it is new and sound; None keeps what there is."""
        try:
            return None if self._stamps() == self._stamp else self._load()
        except (BadCertificate, OSError) as error:
            # A half-written pair, perhaps: the next handshake looks again.
            get_logger().warning("certificate not replaced", problem=str(error))
            return None

    def _load(self) -> grpc.ServerCertificateConfiguration:
        try:
            stamp = self._stamps()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            # A key with a password would ask for it on the terminal.
            context.load_cert_chain(self._cert, self._key, password="")
            authorities = None
            if self._client_ca is not None:
                context.load_verify_locations(self._client_ca)
                authorities = self._client_ca.read_bytes()
            pair = (self._key.read_bytes(), self._cert.read_bytes())
        except ssl.SSLError as error:
            reason = error.reason or "no PEM of a certificate with its key"
            raise BadCertificate(f"cannot use {self._cert} with {self._key}: {reason}") from None
        except OSError as error:
            reason = error.strerror or "cannot be read"
            raise BadCertificate(f"{error.filename or self._cert}: {reason}") from None
        self._stamp = stamp
        return grpc.ssl_server_certificate_configuration([pair], authorities)

    def _stamps(self) -> Stamp:
        paths = [self._cert, self._key, *([self._client_ca] if self._client_ca else [])]
        states = [path.stat() for path in paths]
        return tuple((state.st_ino, state.st_mtime_ns, state.st_size) for state in states)
