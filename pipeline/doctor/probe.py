"""Looking for what runs: Envoy's admin endpoint, and the host at its address."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from pipeline.doctor.dump import Dump, read_dump
from pipeline.errors import DragomanError

_PATIENCE_S = 10.0
_HOST_PATIENCE_S = 2.0
_PATHS = {
    "config": "/config_dump?include_eds",
    "clusters": "/clusters?format=json",
    "runtime": "/runtime",
    "server_info": "/server_info",
}


class NoEnvoy(DragomanError):
    """Raised when Envoy's admin endpoint cannot be read."""


async def ask_envoy(admin_url: str) -> Dump:
    """Read Envoy's admin endpoint.

    Args:
        admin_url: `http://host:port`.

    Raises:
        NoEnvoy: nobody answers there, or not as Envoy does.
        NotADump: what is there is no config dump.
    """
    timeout = aiohttp.ClientTimeout(total=_PATIENCE_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            found = {
                name: await _get(session, admin_url.rstrip("/") + path)
                for name, path in _PATHS.items()
            }
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise NoEnvoy(f"cannot read Envoy's admin endpoint {admin_url}: {reason}") from error
    return read_dump(
        found["config"],
        clusters=found["clusters"],
        runtime=found["runtime"],
        server_info=found["server_info"],
    )


async def ask_host(addresses: list[str], *, is_tls: bool) -> dict[str, str]:
    """Try every address of the host; return what is wrong with each, empty for nothing.

    Args:
        addresses: `host:port` or `unix:/path`.
        is_tls: Envoy speaks TLS to them: without its certificate only the connection is tried.
    """
    ask = _connect if is_tls else _health
    faults = await asyncio.gather(*(ask(address) for address in addresses))
    return dict(zip(addresses, faults, strict=True))


async def _get(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.get(url) as answer:
        answer.raise_for_status()
        return json.loads(await answer.read())


async def _health(address: str) -> str:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(
                health_pb2.HealthCheckRequest(), timeout=_HOST_PATIENCE_S, wait_for_ready=False
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return "cannot be reached"
            return f"answers the health check with {error.code().name}"
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return "" if status == "SERVING" else f"says {status}"


async def _connect(address: str) -> str:
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(_HOST_PATIENCE_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, TimeoutError):
        return "cannot be reached"
    writer.close()
    return ""
