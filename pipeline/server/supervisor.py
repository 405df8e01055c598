"""The supervisor: several host processes as one, started, kept, counted and drained together.

INVARIANT: it imports no gRPC, so that a worker can be started at any time.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from pipeline import __version__
from pipeline.api.admin import AdminAnswer, AdminRequest
from pipeline.config.identity import content_hash
from pipeline.config.schema import Config
from pipeline.config.source import Source
from pipeline.config.workers import worker_addresses
from pipeline.errors import ConfigError
from pipeline.observability import catalogue
from pipeline.observability.logs import configure_logs, get_logger
from pipeline.server.admin import Admin
from pipeline.server.administering import PluginPages
from pipeline.server.aggregate import Aggregate
from pipeline.server.asking_workers import ask_workers
from pipeline.server.bearer import make_bearer
from pipeline.server.control import Order
from pipeline.server.exchanges import Exchanges
from pipeline.server.models.sharing import SharedModels, models_address
from pipeline.server.reloading import OnGeneration, Reloader, Running, config_detail
from pipeline.server.restarts import RestartPolicy
from pipeline.server.signals import serve_until_signal
from pipeline.server.supervised import Role, Worker, WorkerFailed
from pipeline.server.two_phase import reload_workers
from pipeline.server.watching import POLL_S

# Between telling health checks and refusing streams: longer than the interval at which our
# Envoy configuration makes Envoy ask.
_UNHEALTHY_S = 1.0
_READY_WITHIN_S = 600.0
# What a worker counted since it was last asked is lost when it is killed.
_SCRAPE_EVERY_S = 5.0


class Supervisor:
    """Runs the workers of a config.

    Args:
        config: how many there are, and where.
        source: its document, for messages.
        path: its file, which is read again when it changes.
        directory: for sockets that are nobody else's business.
        unhealthy_s: how long workers are out of rotation before they refuse streams.
        on_generation: called when all workers serve with another config.
        poll_s: how often the file is looked at.
    """

    def __init__(
        self,
        config: Config,
        source: Source,
        path: Path,
        directory: Path,
        unhealthy_s: float = _UNHEALTHY_S,
        on_generation: OnGeneration | None = None,
        poll_s: float = POLL_S,
    ) -> None:
        self.admin_address = ""
        self.running = Running(config, source, 1, content_hash(source), time.time())
        self._state = "starting"
        self._aggregate = Aggregate()
        self._scraping = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._watch: asyncio.Task[None] | None = None
        models = models_address(directory) if not config.inference.address else None
        order = Order("start", 0, 1, source.text, self.running.loaded_at_s)
        addresses = worker_addresses(config.server.address, config.server.workers)
        self.workers = [
            Worker(
                Role(index, address, directory / f"{index}.sock", path, unhealthy_s, models),
                RestartPolicy(time.monotonic, random.random),
                self._worker_ended,
                order,
            )
            for index, address in enumerate(addresses)
        ]
        self._models = SharedModels(len(addresses), path, directory, self._worker_ended)
        self._bearer = make_bearer(config.server.admin_token)
        self._admin = Admin(
            config.server.admin,
            self._aggregate.exposition,
            self.readiness,
            refresh=self._scrape,
            exchanges=self._make_exchanges(),
            plugins=PluginPages(self._bearer, self._administer) if self._bearer else None,
        )
        self._is_told = on_generation is not None
        self._reloader = Reloader(path, self, self, time.time, on_generation, poll_s=poll_s)

    async def start(self, ready_within_s: float = _READY_WITHIN_S) -> None:
        """Start every worker, the models before them, and return when all of them serve.

        Raises:
            ConfigError: the config cannot be used, as a worker found.
            WorkerFailed: a worker ended, or was not ready in time.
        """
        self._reloader.hear()
        try:
            self.admin_address = await self._admin.start()
        except OSError as error:
            message = f"cannot listen there: {error.strerror or error}"
            raise ConfigError(self.running.source.problem(("server", "admin"), message)) from error
        try:
            async with asyncio.timeout(ready_within_s):
                await self._models.start(self.running.config, self.running.source)
                await self._start_workers()
        except BaseException as error:
            await self._end(Worker.kill)
            if isinstance(error, TimeoutError):
                raise WorkerFailed(f"not ready within {ready_within_s:g} s") from None
            raise
        self._watch = asyncio.create_task(self._scrape_forever())
        self._state = "serving"
        get_logger().info(
            "serving",
            workers=[worker.role.address for worker in self.workers],
            admin=self.admin_address,
        )
        self._reloader.start()

    async def _start_workers(self) -> None:
        loop = asyncio.get_running_loop()
        ready: list[asyncio.Future[None]] = [loop.create_future() for _ in self.workers]
        self._tasks = [
            asyncio.create_task(worker.keep(serves))
            for worker, serves in zip(self.workers, ready, strict=True)
        ]
        for task, serves in zip(self._tasks, ready, strict=True):
            task.add_done_callback(partial(_pass_on, serves))
        await asyncio.gather(*ready)

    async def stop(self) -> None:
        """Let every worker drain, and return when all have ended."""
        self._state = "draining"
        await self._reloader.stop()
        await self._end(Worker.terminate)

    def abort(self) -> None:
        """Kill every worker and end this process; what is in flight is lost."""
        for worker in self._processes:
            worker.kill()
        os._exit(1)

    def readiness(self) -> tuple[bool, dict[str, object]]:
        """Say whether every worker serves, and what each of them does."""
        is_ready = self._state == "serving" and all(w.state == "serving" for w in self.workers)
        return is_ready, {
            "state": self._state,
            "version": __version__,
            "config": config_detail(self.running, self._reloader),
            "workers": [_told(worker) for worker in self.workers],
            "models": _told(self._models.worker) if self._models.worker is not None else None,
            "routes": [route.name for route in self.running.config.routes],
            "plugins": list(self.running.config.plugins),
        }

    async def replace_config(self, wanted: Running) -> list[str]:
        """Serve with another config: all workers, or none.

        Raises:
            ConfigError: a worker cannot use it, and nothing has changed.
        """
        order = Order(
            "start",
            0,
            wanted.generation,
            wanted.source.text,
            wanted.loaded_at_s,
            is_told=self._is_told,
        )
        await self._models.start(wanted.config, wanted.source)
        changes = await reload_workers(self.workers, order, wanted.source)
        self.running = wanted
        if self._bearer is not None:
            self._bearer.follow(wanted.config.server.admin_token)
        return changes

    def reloaded(self, result: str) -> None:
        """Count a reload."""
        self._aggregate.count(catalogue.CONFIG_RELOADS, result=result)
        self._aggregate.set(catalogue.CONFIG_LAST_SUCCESSFUL, result != "refused")

    def envoy_generation(self, generation: int) -> None:
        """Note which generation last changed Envoy's part."""
        self._aggregate.set(catalogue.CONFIG_ENVOY_GENERATION, generation)

    def envoy_updated(self, result: str) -> None:
        """Count a config that Envoy was handed."""
        self._aggregate.count(catalogue.ENVOY_UPDATES, result=result)

    def envoy_followed(self) -> None:
        """Let the workers drop what they keep for an Envoy that lags behind."""
        for worker in self.workers:
            worker.follow()

    def _make_exchanges(self) -> Exchanges | None:
        bearer = self._bearer
        if bearer is None or not self.running.config.telemetry.keep:
            return None

        async def find(exchange_id: str) -> bytes | None:
            # Only one of them has served it.
            asked = (worker.exchange(exchange_id, bearer.token) for worker in self.workers)
            found = await asyncio.gather(*asked)
            return next((one for one in found if one is not None), None)

        return Exchanges(bearer, find)

    async def _administer(self, instance: str, request: AdminRequest) -> AdminAnswer:
        token = self._bearer.token if self._bearer is not None else ""
        return await ask_workers(self.workers, token, instance, request)

    @property
    def _processes(self) -> list[Worker]:
        """The workers, and what has the models for them."""
        models = self._models.worker
        return [*self.workers, models] if models is not None else self.workers

    async def _end(self, how: Callable[[Worker], None]) -> None:
        for worker, task in zip(self.workers, self._tasks, strict=False):
            if worker.pid is None:
                task.cancel()  # it waits for its start
            how(worker)
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._models.stop(how)
        if self._watch is not None:
            self._watch.cancel()
        await self._admin.stop()

    async def _scrape_forever(self) -> None:
        while True:
            await asyncio.sleep(_SCRAPE_EVERY_S)
            await self._scrape()

    async def _scrape(self) -> None:
        # One at a time: an older answer must not replace a newer one.
        async with self._scraping:
            asked = self._processes
            found = await asyncio.gather(*(worker.metrics() for worker in asked))
            for worker, metrics in zip(asked, found, strict=True):
                # The others' answers took a while: it may have ended, and its counts been kept.
                if metrics is not None and worker.pid == metrics[0]:
                    self._aggregate.take(self._name(worker.role.index), *metrics)

    def _worker_ended(self, index: int) -> None:
        name = self._name(index)
        self._aggregate.lose(name)
        if self._state == "serving":
            self._aggregate.count(catalogue.WORKER_RESTARTS, worker=name)

    def _name(self, index: int) -> str:
        # The process of the models stands behind the workers, and serves no exchange.
        return str(index) if index < len(self.workers) else "models"


def _told(worker: Worker) -> dict[str, object]:
    return {
        "worker": worker.role.index,
        "pid": worker.pid,
        "address": worker.role.address,
        "state": worker.state,
        "restarts": worker.restarts,
    }


def _pass_on(ready: asyncio.Future[None], keeping: asyncio.Task[None]) -> None:
    if not ready.done() and not keeping.cancelled() and (error := keeping.exception()) is not None:
        ready.set_exception(error)


@asynccontextmanager
async def supervised(
    config: Config,
    source: Source,
    path: Path,
    *,
    unhealthy_s: float = 0.0,
    on_generation: OnGeneration | None = None,
    poll_s: float = POLL_S,
) -> AsyncIterator[Supervisor]:
    """Run the workers of a config for the time of the block, then drain them.

    Args:
        config: see `Supervisor`.
        source: see `Supervisor`.
        path: see `Supervisor`.
        unhealthy_s: how long Envoy has to notice; by default it is gone when the block ends.
        on_generation: see `Supervisor`.
        poll_s: see `Supervisor`.
    """
    with tempfile.TemporaryDirectory(prefix="dragoman-") as directory:
        supervisor = Supervisor(
            config, source, path, Path(directory), unhealthy_s, on_generation, poll_s
        )
        await supervisor.start()
        try:
            yield supervisor
        finally:
            await supervisor.stop()


async def serve_workers(config: Config, source: Source, path: Path) -> None:
    """Serve with several workers until SIGTERM or SIGINT; a second signal kills them.

    Raises:
        ConfigError: the config cannot be used.
        WorkerFailed: a worker was not ready.
    """
    configure_logs(config.telemetry.log_level, config.telemetry.log_format)
    with tempfile.TemporaryDirectory(prefix="dragoman-") as directory:
        supervisor = Supervisor(config, source, path, Path(directory))
        await serve_until_signal(supervisor, lambda: None)
