"""A whole stack for tests: demo upstreams, the host, and a real Envoy before them."""

from __future__ import annotations

import asyncio
import os
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import yaml
from aiohttp import web

from pipeline.config.load import check_config
from pipeline.config.source import parse_source
from pipeline.demo.upstream import DemoSettings
from pipeline.demo.upstream import serve as serve_demo
from pipeline.envoy.bootstrap import bootstrap
from pipeline.envoy.process import EnvoyProcess
from pipeline.host.compile import compile_config
from pipeline.host.runtime import Runtime
from pipeline.server.process import HostProcess, running
from tests.support.crashes import CRASHES


@dataclass(frozen=True)
class Seen:
    """A request as an upstream saw it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Stack:
    """What is running.

    Args:
        url: where Envoy listens.
        host: the host process, in this process.
        envoy: the real Envoy.
        seen: requests by upstream name, in order.
        http: a client of Envoy.
    """

    url: str
    host: HostProcess
    envoy: EnvoyProcess
    seen: dict[str, list[Seen]] = field(default_factory=dict)
    http: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)

    async def metrics(self) -> str:
        """Return the host's metrics."""
        answer = await self.http.get(f"http://{self.host.admin_address}/metrics")
        return answer.text


Patch = Callable[[dict[str, Any]], None]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CHAT = {"name": "chat", "match": {"path": "/v1/chat/completions"}, "backends": ["demo"]}


@asynccontextmanager
async def upstream_of(
    handler: Handler, secured_by: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve one handler for every request; gives a backend's base URL, `/v1` included."""
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(
        app, handler_cancellation=True, shutdown_timeout=0.2, auto_decompress=False
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=secured_by).start()
        scheme = "https" if secured_by is not None else "http"
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running_stack(
    config: Mapping[str, Any] | None = None,
    *,
    upstreams: Mapping[str, DemoSettings] | None = None,
    folder: Path | None = None,
    patch: Patch | None = None,
    rewrite: Callable[[Runtime], dict[str, Any]] | None = None,
    binary: Path | None = None,
) -> AsyncIterator[Stack]:
    """Run everything for a config.

    Args:
        config: the config's `plugins`, `routes`, …; a chat route to `demo` if absent. Backends
            are filled in: one of provider `openai` per upstream, whose keys the config's own
            `backends` replace or add to.
        upstreams: demo upstreams by backend name; one named `demo` if absent.
        folder: of local plugins (`plugins_dir`).
        patch: changes Envoy's bootstrap.
        rewrite: makes another bootstrap, for an Envoy that somebody else configured.
        binary: of another Envoy than the installed one.
    """
    seen: dict[str, list[Seen]] = {}
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dragoman-test-")))
        backends: dict[str, Any] = {}
        for name, settings in (upstreams or {"demo": DemoSettings()}).items():
            requests = seen.setdefault(name, [])

            def record(
                method: str,
                path: str,
                headers: Mapping[str, str],
                body: bytes,
                requests: list[Seen] = requests,
            ) -> None:
                requests.append(Seen(method, path, dict(headers), body))

            port = await stack.enter_async_context(
                serve_demo(replace(settings, port=0, on_request=record))
            )
            backends[name] = {
                "provider": "openai",
                "url": f"http://127.0.0.1:{port}/v1",
                "api_key": f"key-of-{name}",
            }
        document = dict(config or {"routes": [CHAT]})
        own = document.pop("backends", {})
        document["backends"] = {
            name: {**backends.get(name, {}), **own.get(name, {})} for name in {**backends, **own}
        }
        document["server"] = {
            "address": f"unix:{directory}/host.sock",
            "admin": "127.0.0.1:0",
            "drain": "200ms",
            **document.get("server", {}),
        }
        document["envoy"] = {
            "listen": "127.0.0.1:0",
            "admin": "127.0.0.1:0",
            **document.get("envoy", {}),
        }
        if folder is not None:
            document["plugins_dir"] = str(folder)
        source = parse_source(yaml.safe_dump(document), {})
        runtime = compile_config(check_config(source), source)
        host = await stack.enter_async_context(running(runtime))
        environment = {**os.environ, **({"DRAGOMAN_ENVOY": str(binary)} if binary else {})}
        envoy = EnvoyProcess(directory, environment=environment, concurrency=1)
        made = bootstrap(runtime.config, runtime.plans) if rewrite is None else rewrite(runtime)
        if patch is not None:
            patch(made)
        stack.enter_context(CRASHES.watched(envoy))
        await envoy.start(made)
        stack.push_async_callback(envoy.stop)
        url = f"http://{envoy.address}"
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=20))
        yield Stack(url, host, envoy, seen, http)


async def eventually(holds: Callable[[], Awaitable[bool]], within_s: float = 2.0) -> None:
    """Wait until something holds that follows an answer, such as what is counted after it."""
    async with asyncio.timeout(within_s):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)
