"""Several worker processes behind a real Envoy: a demo upstream, and a config in a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from pipeline.config.load import load_config
from pipeline.demo.upstream import DemoSettings
from pipeline.demo.upstream import serve as serve_demo
from pipeline.envoy.bootstrap import bootstrap
from pipeline.envoy.process import EnvoyProcess
from pipeline.host.compile import compile_config
from pipeline.server.supervisor import Supervisor, supervised

ASK = {"model": "m", "messages": [{"role": "user", "content": "What is 6 * 7?"}]}


@dataclass
class Workers:
    """What is running.

    Args:
        supervisor: of the workers.
        http: a client of Envoy.
        envoy: before them.
    """

    supervisor: Supervisor
    http: httpx.AsyncClient
    envoy: EnvoyProcess

    async def ready(self) -> dict[str, Any]:
        """Return what the supervisor says of its workers."""
        url = f"http://{self.supervisor.admin_address}/health/ready"
        document: dict[str, Any] = (await self.http.get(url)).json()
        return document

    async def metrics(self) -> str:
        """Return the metrics of all workers."""
        return (await self.http.get(f"http://{self.supervisor.admin_address}/metrics")).text

    async def ask(self) -> int:
        """Ask something, and return the status of the answer."""
        return (await self.http.post("/v1/chat/completions", json=ASK)).status_code


def write_config(
    directory: Path, top: Mapping[str, Any], upstream: int, *, workers: int = 2
) -> Path:
    """Write a config with one backend and, unless `top` has others, a route to it."""
    document: dict[str, Any] = {
        "backends": {
            "demo": {
                "provider": "openai",
                "url": f"http://127.0.0.1:{upstream}/v1",
                "api_key": "k",
            }
        },
        "routes": [{"name": "chat", "backends": ["demo"]}],
        **top,
    }
    document["server"] = {
        "address": f"unix:{directory}/host.sock",
        "admin": "127.0.0.1:0",
        "drain": "2s",
        "workers": workers,
        **top.get("server", {}),
    }
    document["envoy"] = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        **top.get("envoy", {}),
    }
    path = directory / "dragoman.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@asynccontextmanager
async def running_workers(
    directory: Path,
    top: Mapping[str, Any] | None = None,
    *,
    workers: int = 2,
    unhealthy_s: float = 0.0,
) -> AsyncIterator[Workers]:
    """Run everything for a config.

    Args:
        directory: for the config's file and the sockets.
        top: the config's `plugins`, `routes`, …
        workers: how many.
        unhealthy_s: how long a worker that drains is out of rotation before it refuses.
    """
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(serve_demo(DemoSettings()))
        path = write_config(directory, top or {}, upstream, workers=workers)
        config, source = load_config(path, {})
        runtime = compile_config(config, source)
        runtime.pool.shutdown(wait=False)
        supervisor = await stack.enter_async_context(
            supervised(config, source, path, unhealthy_s=unhealthy_s)
        )
        envoy = EnvoyProcess(directory, concurrency=1)
        await envoy.start(bootstrap(config, runtime.plans))
        stack.push_async_callback(envoy.stop)
        url = f"http://{envoy.address}"
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=20))
        yield Workers(supervisor, http, envoy)
