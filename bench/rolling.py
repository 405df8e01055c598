"""A rolling restart of two hosts behind one Envoy, under load: how many requests fail.

`python -m bench.rolling` prints one line of JSON; its exit status is 1 where any request failed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from pipeline.config.load import load_config
from pipeline.demo.upstream import DemoSettings
from pipeline.demo.upstream import serve as serve_demo
from pipeline.envoy.bootstrap import bootstrap
from pipeline.envoy.filters import HOST_CLUSTER
from pipeline.envoy.process import EnvoyProcess
from pipeline.host.compile import compile_config

REQUESTS = 5_000
CONNECTIONS = 8
_READY_S = 60.0
_POLL_S = 0.05
_SERVE = "from pipeline.cli.main import run; run()"
_BODY = json.dumps(
    {"model": "m", "messages": [{"role": "user", "content": "What is 6 * 7?"}]}
).encode()
_REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: bench.example\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_BODY)
) + _BODY


@dataclass(slots=True)
class Result:
    """What a rolling restart came to.

    Args:
        requests: that were answered with status 200.
        failed: what the others were answered with.
        restarts: exit status of each host that was told to end.
        seconds: how long it took.
    """

    requests: int = 0
    failed: list[str] = field(default_factory=list)
    restarts: list[int] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(slots=True)
class _Replica:
    """One `dragoman serve`."""

    directory: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        return f"unix:{self.directory}/host.sock"

    @property
    def config(self) -> Path:
        return self.directory / "dragoman.yaml"

    def write_config(self, upstream: int) -> None:
        backend = {"provider": "openai", "url": f"http://127.0.0.1:{upstream}/v1", "api_key": "k"}
        document = {
            "server": {"address": self.address, "admin": "127.0.0.1:0", "drain": "5s"},
            # What is lost is to be counted, not what a busy machine is slow to answer.
            "envoy": {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "slack": "10s"},
            "backends": {"demo": backend},
            "routes": [{"name": "chat", "backends": ["demo"]}],
        }
        self.config.write_text(yaml.safe_dump(document))

    async def start(self) -> None:
        """Start it, and wait until it says that it serves."""
        command = [sys.executable, "-P", "-c", _SERVE, "serve", "--config", str(self.config)]
        log = self.directory / "host.log"
        with log.open("wb") as errors:
            self.process = await asyncio.create_subprocess_exec(
                *command, cwd=self.directory, stderr=errors
            )
        async with asyncio.timeout(_READY_S):
            while b'"serving"' not in log.read_bytes():
                if self.process.returncode is not None:
                    raise RuntimeError(log.read_text())
                await asyncio.sleep(_POLL_S)

    async def end(self) -> int:
        """Tell it to end, as an orchestrator does; return its exit status."""
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()


async def restart_under_load(requests: int = REQUESTS) -> Result:
    """Restart both hosts, one after the other, while clients ask without pause.

    Args:
        requests: the load goes on until this many were answered, and both hosts are back.
    """
    result = Result()
    async with _running() as (replicas, envoy):
        began_s = time.monotonic()
        port = int(envoy.address.rpartition(":")[2])
        over = asyncio.Event()
        clients = [asyncio.create_task(_ask(port, result, over)) for _ in range(CONNECTIONS)]
        try:
            for replica in replicas:
                await _served(result, requests // 10)
                result.restarts.append(await replica.end())
                await _served(result, requests // 10)
                await replica.start()
                await _in_rotation(envoy)
            await _served(result, requests - result.requests)
        finally:
            over.set()
            await asyncio.gather(*clients)
        result.seconds = time.monotonic() - began_s
    return result


@asynccontextmanager
async def _running() -> AsyncIterator[tuple[list[_Replica], EnvoyProcess]]:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dragoman-")))
        upstream = await stack.enter_async_context(serve_demo(DemoSettings()))
        replicas = [_Replica(directory / name) for name in ("a", "b")]
        for replica in replicas:
            replica.directory.mkdir()
            replica.write_config(upstream)
            stack.push_async_callback(replica.end)
        await asyncio.gather(*(replica.start() for replica in replicas))
        envoy = EnvoyProcess(directory, concurrency=1)
        await envoy.start(_bootstrap(replicas))
        stack.push_async_callback(envoy.stop)
        await _in_rotation(envoy)
        yield replicas, envoy


def _bootstrap(replicas: list[_Replica]) -> dict[str, Any]:
    """Return the bootstrap of the first's config, with both as endpoints."""
    config, source = load_config(replicas[0].config, os.environ)
    runtime = compile_config(config, source)
    runtime.pool.shutdown(wait=False)
    made = bootstrap(config, runtime.plans)
    paths = [replica.address.removeprefix("unix:") for replica in replicas]
    endpoints = [{"endpoint": {"address": {"pipe": {"path": path}}}} for path in paths]
    for cluster in made["static_resources"]["clusters"]:
        if cluster["name"] == HOST_CLUSTER:
            cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": endpoints}]
    return made


async def _in_rotation(envoy: EnvoyProcess) -> None:
    """Wait until Envoy finds every host healthy, as an orchestrator waits for readiness."""
    async with asyncio.timeout(_READY_S), aiohttp.ClientSession(envoy.admin_url) as http:
        while True:
            async with http.get("/clusters", params={"format": "json"}) as answer:
                clusters = (await answer.json())["cluster_statuses"]
            [host] = [one for one in clusters if one["name"] == HOST_CLUSTER]
            if all(
                set(one["health_status"]) == {"eds_health_status"} for one in host["host_statuses"]
            ):
                return
            await asyncio.sleep(_POLL_S)


async def _served(result: Result, more: int) -> None:
    """Wait until this many more requests were answered."""
    enough = result.requests + more
    while result.requests < enough:  # noqa: ASYNC110 - the clients count
        await asyncio.sleep(_POLL_S)


async def _ask(port: int, result: Result, over: asyncio.Event) -> None:
    """Be one client with one connection, which asks again once it is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while not over.is_set():
            writer.write(_REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            body = await reader.readexactly(int(length))
            if head.startswith(b"HTTP/1.1 200 "):
                result.requests += 1
            else:
                result.failed.append(f"{head[9:12].decode()} {body[:200].decode()}")
    except (OSError, asyncio.IncompleteReadError) as error:
        result.failed.append(type(error).__name__)
    finally:
        writer.close()


def main() -> int:
    """Restart both hosts under load; return the exit status."""
    result = asyncio.run(restart_under_load())
    print(json.dumps({**asdict(result), "failed": len(result.failed)}))
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main())
