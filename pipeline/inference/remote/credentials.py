"""TLS towards nodes: the files of the config, and the system's authorities without them."""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

from pipeline.config.tls import BackendTlsConfig


def read_credentials(tls: BackendTlsConfig | None) -> grpc.ChannelCredentials:
    """Read what a channel is secured by; the files are read again for each new channel.

    Raises:
        OSError: a file cannot be read.
    """
    tls = tls or BackendTlsConfig()
    # gRPC's own default is a list of authorities that came with it.
    authorities = tls.ca or ssl.get_default_verify_paths().cafile
    return grpc.ssl_channel_credentials(*map(_read, (authorities, tls.key, tls.cert)))


def _read(path: str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()
