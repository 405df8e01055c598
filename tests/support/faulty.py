"""A stack whose sockets can be hurt: proxies before the host and before the upstream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from pipeline.envoy.filters import HOST_CLUSTER
from tests.support.proxy import Proxy, proxy_to
from tests.support.stack import Handler, Stack, eventually, running_stack, upstream_of

STREAMS = "dragoman_streams_active"
HELD = "dragoman_held_bytes"
_BESIDE = {
    "Proxy._pump",
    "proxy_to.<locals>.serve",
    # aiohttp's, of an upstream and of the host's admin server
    "RequestHandler.start",
    "RequestHandler._handle_request",
}


@dataclass
class Faulty:
    """What is running.

    Args:
        stack: all of it.
        to_host: between Envoy and the host.
        to_upstream: between Envoy and the upstream.
    """

    stack: Stack
    to_host: Proxy
    to_upstream: Proxy

    def heal(self) -> None:
        self.to_host.heal()
        self.to_upstream.heal()


@asynccontextmanager
async def faulty_stack(
    directory: Path, config: Mapping[str, Any], handler: Handler
) -> AsyncIterator[Faulty]:
    """Run everything for a config, whose one backend is `demo`.

    A route named `open` has no backend, so that it fails open; it goes where `guard` goes.
    """
    socket = f"unix:{directory}/host.sock"
    async with (
        upstream_of(handler) as url,
        proxy_to(url.removeprefix("http://").removesuffix("/v1")) as to_upstream,
        proxy_to(socket) as to_host,
    ):

        def patch(document: dict[str, Any]) -> None:
            move_host(document, to_host.port)
            for route in routes_of(document):
                if route.get("name") == "open":
                    del route["direct_response"]
                    route["route"] = {"cluster": "route_guard", "timeout": "5s"}

        document = {
            **config,
            "backends": {"demo": {"url": f"http://{to_upstream.address}/v1"}},
            "server": {"address": socket},
        }
        async with running_stack(document, patch=patch) as stack:
            yield Faulty(stack, to_host, to_upstream)


def move_host(document: dict[str, Any], *ports: int) -> None:
    """Let Envoy look for host processes on these ports of this machine."""
    for cluster in document["static_resources"]["clusters"]:
        if cluster["name"] == HOST_CLUSTER:
            cluster["load_assignment"]["endpoints"] = [
                {"lb_endpoints": [{"endpoint": {"address": _at(port)}} for port in ports]}
            ]


def routes_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the routes of a bootstrap."""
    [listener] = document["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    found: list[dict[str, Any]] = manager["route_config"]["virtual_hosts"][0]["routes"]
    return found


def _at(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def value_of(text: str, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


async def nothing_in_flight(stack: Stack, within_s: float = 30.0) -> None:
    """Wait until no stream is open and no byte is held, as it is when nothing leaks."""

    async def idle() -> bool:
        text = await stack.metrics()
        return value_of(text, STREAMS) == 0 and value_of(text, HELD) == 0

    await eventually(idle, within_s)


def host_tasks() -> int:
    """Count the tasks of the host, which runs beside proxies and upstreams that have their own."""
    names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return sum(name not in _BESIDE for name in names)


async def no_more_tasks_than(before: int, within_s: float = 30.0) -> None:
    """Wait until the host's tasks are as few as before."""

    async def few() -> bool:
        return host_tasks() <= before

    await eventually(few, within_s)
