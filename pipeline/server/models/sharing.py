"""Sharing models: one process of this machine has them, for all workers of the host.

INVARIANT: like the supervisor it imports no gRPC.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.schema import Config
from pipeline.config.source import Source
from pipeline.host.compile import compile_config
from pipeline.server.control import Order
from pipeline.server.restarts import RestartPolicy
from pipeline.server.supervised import Role, Worker

SOCKET = "models.sock"


def shares_models(config: Config, source: Source) -> bool:
    """Say whether workers need a process that has the models for them.

    Args:
        config: of the host.
        source: its document.

    Raises:
        ConfigError: the config cannot be used.
    """
    if config.server.workers == 1 or config.inference.address:
        return False
    if "inference" in source.values:
        return True
    runtime = compile_config(config, source)
    runtime.pool.shutdown(wait=False)
    return runtime.inference is not None


def models_address(directory: Path) -> str:
    """Return where workers of a supervisor find the models, whether they are there or not."""
    return f"unix:{directory / SOCKET}"


@dataclass(frozen=True, slots=True)
class ModelsRole(Role):
    """The process with the models, which a supervisor keeps like a worker."""

    @property
    def command(self) -> list[str]:
        """The command that starts it."""
        return [
            *(sys.executable, "-P", "-m", "pipeline.server.models.worker", str(self.config)),
            *("--address", self.address, "--admin", f"unix:{self.admin}"),
            *("--index", str(self.index)),
        ]


class SharedModels:
    """Keeps that process, from when a config first needs it until the host ends.

    Args:
        index: its number, beside those of the workers.
        path: the config file, for messages and for what is relative to it.
        directory: for its sockets.
        ended: called with its number when it ended.
    """

    def __init__(
        self, index: int, path: Path, directory: Path, ended: Callable[[int], None]
    ) -> None:
        self.worker: Worker | None = None
        self._role = ModelsRole(
            index, models_address(directory), directory / f"{index}.sock", path, 0.0
        )
        self._ended = ended
        self._keeping: asyncio.Task[None] | None = None

    async def start(self, config: Config, source: Source) -> None:
        """Start it if a config needs it and it is not there, and return when it serves.

        Raises:
            ConfigError: the config cannot be used.
            WorkerFailed: it ended.
        """
        if self.worker is not None or not await asyncio.to_thread(shares_models, config, source):
            return
        policy = RestartPolicy(time.monotonic, random.random)
        order = Order("start", 0, 1, source.text)
        worker = self.worker = Worker(self._role, policy, self._ended, order)
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        keeping = self._keeping = asyncio.create_task(worker.keep(ready))
        try:
            await asyncio.wait({ready, keeping}, return_when=asyncio.FIRST_COMPLETED)
            await (ready if ready.done() else keeping)
        except BaseException:
            await self.stop(Worker.kill)
            raise

    async def stop(self, how: Callable[[Worker], None]) -> None:
        """End it, and return when it has ended."""
        worker, keeping = self.worker, self._keeping
        self.worker = self._keeping = None
        if worker is None or keeping is None:
            return
        if worker.pid is None:
            keeping.cancel()  # it waits for its start
        how(worker)
        await asyncio.wait({keeping})
