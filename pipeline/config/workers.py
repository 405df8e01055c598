"""Worker processes: how many, and where each of them listens."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from pipeline.config.quantities import split_address

MOST_WORKERS = 256
_LAST_PORT = 65535
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def worker_addresses(address: str, workers: int) -> tuple[str, ...]:
    """Return where each worker serves Envoy: a socket or port of its own, or the one configured.

    Args:
        address: the configured one, `unix:/path` or `host:port`.
        workers: how many there are.

    Raises:
        ValueError: there are not that many ports from the configured one on.
    """
    if workers == 1:
        return (address,)
    if address.startswith("unix:"):
        return tuple(f"{address}.{index}" for index in range(workers))
    host, port = split_address(address)
    if port == 0:
        raise ValueError("several workers need a port that is not 0: each takes the next")
    if port + workers - 1 > _LAST_PORT:
        raise ValueError(f"{workers} workers from port {port} on go past port {_LAST_PORT}")
    name = f"[{host}]" if ":" in host else host
    return tuple(f"{name}:{port + index}" for index in range(workers))


def usable_cpus(cpus: int | None, quota: str) -> int:
    """Return how many processes find a CPU of their own.

    Args:
        cpus: that the process may run on.
        quota: the control group's `cpu.max`, for instance `200000 100000`; empty if there is none.
    """
    limit, _, period = quota.strip().partition(" ")
    is_share = limit.isdecimal() and period.isdecimal() and int(period) > 0
    share = int(limit) // int(period) if is_share else None
    return max(1, min(cpus or 1, share if share is not None else MOST_WORKERS, MOST_WORKERS))


def _parse(value: Any) -> Any:
    if value != "auto":
        return value
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota = _CPU_QUOTA.read_text(encoding="ascii")
    except (OSError, ValueError):
        quota = ""
    return usable_cpus(cpus, quota)


Workers = Annotated[
    int,
    BeforeValidator(_parse),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MOST_WORKERS}, {"const": "auto"}]}
    ),
]
"""How many processes; `auto` is one for each CPU that this process may use."""
