"""Quantities in the config: what plugins may use in their options too, and socket addresses."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from pipeline.api.quantities import (
    SOURCE,
    Duration,
    Secret,
    Size,
    parse_duration_s,
    parse_size_bytes,
    read_secret,
)

__all__ = [
    "SOURCE",
    "Address",
    "Duration",
    "GrpcAddress",
    "Secret",
    "Size",
    "parse_duration_s",
    "parse_size_bytes",
    "read_secret",
    "split_address",
]

_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):([0-9]{1,5})\Z")
_MAX_PORT = 65535


def split_address(address: str) -> tuple[str, int]:
    """Split `host:port` (IPv6 in brackets) into its parts.

    Raises:
        ValueError: no such form, or a port over 65535.
    """
    match = _ADDRESS.match(address)
    if match is None or int(match[2]) > _MAX_PORT:
        raise ValueError("an address is HOST:PORT, for instance 127.0.0.1:10000")
    return match[1].strip("[]"), int(match[2])


def _address(value: str) -> str:
    split_address(value)
    return value


def _grpc_address(value: str) -> str:
    if value.startswith("unix:") and len(value) > len("unix:"):
        return value
    return _address(value)


Address = Annotated[str, AfterValidator(_address)]
"""`host:port`."""

GrpcAddress = Annotated[str, AfterValidator(_grpc_address)]
"""`host:port` or `unix:/path`."""
