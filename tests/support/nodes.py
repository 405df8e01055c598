"""Nodes that serve the model of letters: in this process, or as processes that can be killed."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.inference import InferenceConfig
from pipeline.config.tls import BackendTlsConfig, ServerTlsConfig
from pipeline.inference.batcher import Batcher
from pipeline.inference.engine import Engine
from pipeline.inference.engines import Engines
from pipeline.inference.remote.client import RemoteSource
from pipeline.inference.remote.metadata import Described
from pipeline.inference.remote.model import RemoteModel
from pipeline.observability.logs import configure_logs
from pipeline.server.models.process import ModelServer, ModelsPlace
from pipeline.server.signals import serve_until_signal
from tests.support.letters import Letters

ROOT = Path(__file__).parents[2]
MODEL = "letters"


def engines_of(model: Letters, config: InferenceConfig, max_bytes: int = 0) -> Engines:
    """Return the engine of a model; it remembers nothing unless told."""
    batcher = Batcher(lambda: model, queue=config.queue, batch_tokens=config.batch_tokens)
    return Engines({MODEL: Engine(batcher, max_bytes=max_bytes, timeout_s=config.timeout)})


@asynccontextmanager
async def node(
    model: Letters | None = None,
    address: str = "127.0.0.1:0",
    tls: ServerTlsConfig | None = None,
    **settings,
) -> AsyncIterator[ModelServer]:
    """Serve a model for the time of the block."""
    config = InferenceConfig(timeout="30s", **settings)
    place = ModelsPlace(address, "127.0.0.1:0", tls, unhealthy_s=0.0, drain_s=2.0)
    server = ModelServer(engines_of(model or Letters(), config), config, place)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def source_of(
    *addresses: str,
    tls: BackendTlsConfig | None = None,
    known: Described | None = None,
    model: RemoteModel | None = None,
    **options,
) -> AsyncIterator[RemoteSource]:
    """Connect to nodes for the time of the block; an address without a scheme is plain gRPC."""
    urls = [a if ":/" in a or a.startswith("unix:") else f"grpc://{a}" for a in addresses]
    model = model or RemoteModel(MODEL)
    source = RemoteSource(urls, model, tls=tls, known=known, **options)
    await source.start()
    try:
        yield source
    finally:
        await source.close()


@dataclass
class NodeProcess:
    """A node in a process of its own.

    Args:
        process: it.
        address: where it serves.
        admin: its metrics and health.
    """

    process: asyncio.subprocess.Process
    address: str
    admin: str

    async def kill(self) -> None:
        """End it at once, as the kernel does when memory is short."""
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def node_process(address: str = "127.0.0.1:0") -> AsyncIterator[NodeProcess]:
    """Run a node as a process for the time of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.nodes", address),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        told = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        yield NodeProcess(process, **told)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def _serve(address: str) -> None:
    configure_logs("warning", "json")
    config = InferenceConfig(timeout="30s")
    place = ModelsPlace(address, "127.0.0.1:0", unhealthy_s=0.2)
    server = ModelServer(engines_of(Letters(), config), config, place)

    def started() -> None:
        told = {"address": server.address, "admin": server.admin_address}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()

    await serve_until_signal(server, started)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    asyncio.run(_serve(parser.parse_args().address))
