"""One host process: started, ready when every plugin is, drained without losing an exchange."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from pipeline import __version__
from pipeline.api.admin import AdminAnswer, AdminRequest
from pipeline.config.identity import content_hash
from pipeline.config.schema import Config
from pipeline.config.source import Source
from pipeline.errors import ConfigError
from pipeline.host.compile import compile_config
from pipeline.host.generations import Generation, Generations
from pipeline.host.plugin_metrics import collectors
from pipeline.host.runtime import Runtime
from pipeline.observability import catalogue
from pipeline.observability.logs import configure_logs, get_logger
from pipeline.observability.metrics import Metrics, exposition
from pipeline.observability.observer import describe_plugins, make_observation
from pipeline.observability.plugin_metrics import PluginMetrics
from pipeline.observability.ring import Ring
from pipeline.server.admin import Admin
from pipeline.server.administering import PluginPages, administered, fault
from pipeline.server.bearer import Bearer, make_bearer
from pipeline.server.exchanges import Exchanges
from pipeline.server.grpc_server import GrpcServer
from pipeline.server.models.metrics import EngineMetrics
from pipeline.server.reloading import OnGeneration, Reloader, Running, config_detail
from pipeline.server.signals import serve_until_signal
from pipeline.server.tls import BadCertificate
from pipeline.server.watching import POLL_S
from pipeline.wire.admission import Admission
from pipeline.wire.service import ExternalProcessor
from pipeline.wire.tapping import make_tap

if TYPE_CHECKING:
    from pipeline.inference.engine import Engine

# Between telling health checks and refusing streams: longer than the interval at which our
# Envoy configuration makes Envoy ask.
UNHEALTHY_S = 1.0
_GC_THRESHOLDS = (20_000, 20, 20)
# Plugins may load a model before the switch to another config.
_PREPARED_WITHIN_S = 600.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process listens, and how long it is out of rotation before it refuses streams.

    Args:
        address: for Envoy.
        admin: for operators.
        unhealthy_s: how long Envoy has to notice before streams are refused.
        models: address of a process that has the models for it; it has its own if absent.
    """

    address: str
    admin: str
    unhealthy_s: float = UNHEALTHY_S
    models: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A config whose plugins have started, to be served or shut down.

    Args:
        runtime: the compiled config.
        content_hash: of the config.
        changes: what must change in Envoy's configuration.
    """

    runtime: Runtime
    content_hash: str
    changes: list[str]


class HostProcess:
    """Serves a compiled config, and those that take its place.

    Args:
        runtime: the compiled config.
        place: where; as the config says if absent.
        generation: its number.
        reload_from: the config's file, to heed what becomes of it; nothing is reloaded if absent.
        on_generation: called when another config serves.
        poll_s: how often the file is looked at.
    """

    def __init__(
        self,
        runtime: Runtime,
        place: Place | None = None,
        *,
        generation: int = 1,
        reload_from: Path | None = None,
        on_generation: OnGeneration | None = None,
        poll_s: float = POLL_S,
    ) -> None:
        server = runtime.config.server
        place = place or Place(server.address, server.admin)
        first = Generation(generation, runtime, content_hash(runtime.source), time.time())
        self.generations = Generations(first, settle_again)
        self._unhealthy_s = place.unhealthy_s
        self._models = place.models
        self.address = ""
        self.admin_address = ""
        self._is_ready = False
        self._state = "starting"
        registry = CollectorRegistry()
        self._metrics = Metrics(registry)
        registry.register(EngineMetrics(lambda: _engines(self.runtime)))
        registry.register(PluginMetrics(collectors, catalogue.NAMES))
        describe_plugins(self._metrics, runtime)
        self._metrics.config(first.number, first.content_hash)
        offset_s = time.time() - time.monotonic()
        self._observation = make_observation(
            runtime.config, self._metrics, time.monotonic, lambda s: int((s + offset_s) * 1e9)
        )
        self._tap = make_tap(runtime.config, place.address)
        self._admission = Admission(runtime.config.limits, self._metrics)
        processor = ExternalProcessor(
            self.generations,
            self._observation,
            self._metrics,
            time.monotonic,
            self._admission,
            self._observation.ring,
            self._tap,
        )
        self._grpc = GrpcServer(runtime.config, processor, place.address)
        self._bearer = make_bearer(server.admin_token)
        self._admin = Admin(
            place.admin,
            lambda: exposition(registry),
            self._readiness,
            exchanges=_exchanges(self._bearer, self._observation.ring),
            plugins=PluginPages(self._bearer, self._administer) if self._bearer else None,
        )
        self._is_told = on_generation is not None
        self._reloader = (
            Reloader(reload_from, self, self._metrics, time.time, on_generation, poll_s=poll_s)
            if reload_from is not None
            else None
        )
        self._lag: asyncio.Task[None] | None = None

    @property
    def runtime(self) -> Runtime:
        """The config that serves new exchanges, compiled."""
        return self.generations.current.runtime

    @property
    def running(self) -> Running:
        """The config that serves new exchanges."""
        now = self.generations.current
        return Running(
            now.runtime.config,
            now.runtime.source,
            now.number,
            now.content_hash,
            now.loaded_at_s,
        )

    async def start(self) -> None:
        """Listen, start every plugin, and only then say that the process is ready.

        Raises:
            ConfigError: an address cannot be used, or a plugin's startup failed.
        """
        source = self.runtime.source
        if self._reloader is not None:
            self._reloader.hear()
        try:
            self.admin_address = await self._admin.start()
        except OSError as error:
            message = f"cannot listen there: {error.strerror or error}"
            raise ConfigError(source.problem(("server", "admin"), message)) from error
        try:
            await self.runtime.startup()
            self.address = await self._grpc.start()
        except BaseException as error:
            await self._grpc.stop(0)
            await self.runtime.shutdown()
            await self._admin.stop()
            if isinstance(error, BadCertificate):
                raise ConfigError(source.problem(("server", "tls"), str(error))) from error
            if not isinstance(error, OSError):
                raise
            message = f"cannot listen there: {error.strerror or error}"
            raise ConfigError(source.problem(("server", "address"), message)) from error
        await self._grpc.set_serving(serving=True, plugins=self.runtime.instances)
        self._lag = asyncio.create_task(self._metrics.watch_loop(time.monotonic))
        self._is_ready, self._state = True, "serving"
        get_logger().info("serving", address=self.address, admin=self.admin_address)
        if self._reloader is not None:
            self._reloader.start()

    async def stop(self, *, unhealthy_s: float | None = None) -> None:
        """Drain: out of rotation first, then no new streams, then an end to those in flight.

        Args:
            unhealthy_s: how long Envoy has to notice before streams are refused; as the place
                says if absent.
        """
        self._is_ready, self._state = False, "draining"
        if self._reloader is not None:
            await self._reloader.stop()
        await self._grpc.set_serving(serving=False)
        await asyncio.sleep(self._unhealthy_s if unhealthy_s is None else unhealthy_s)
        await self._grpc.stop(self.runtime.config.server.drain)
        await self.generations.close()
        if self._lag is not None:
            self._lag.cancel()
        await asyncio.to_thread(self._observation.shutdown)
        if self._tap is not None:
            await asyncio.to_thread(self._tap.close)
        await self._admin.stop()

    def abort(self) -> None:
        """End the process now, whatever is in flight: threads of plugins could keep it alive."""
        os._exit(1)

    async def prepare(self, config: Config, source: Source) -> Prepared:
        """Start what a config has that this one has not; all else goes on as it does.

        Raises:
            ConfigError: it cannot be used.
        """
        from pipeline.envoy.differences import differences  # noqa: PLC0415 - for a reload alone

        before = self.runtime
        found_hash = await asyncio.to_thread(content_hash, source)
        # In a thread: a plugin's module may take seconds to import.
        runtime = await asyncio.to_thread(compile_config, config, source, before, self._models)
        changes = differences(before.config, before.plans, config, runtime.plans)
        try:
            async with asyncio.timeout(_PREPARED_WITHIN_S):
                await runtime.startup()
        except TimeoutError:
            await runtime.shutdown()
            message = f"the plugins have not started within {_PREPARED_WITHIN_S:g} s"
            raise ConfigError(source.problem(("plugins",), message)) from None
        except BaseException:
            await runtime.shutdown()
            raise
        return Prepared(runtime, found_hash, changes)

    async def commit(
        self, prepared: Prepared, generation: int, loaded_at_s: float, *, is_told: bool
    ) -> None:
        """Serve exchanges that begin from now on with what was prepared.

        Args:
            prepared: it.
            generation: its number.
            loaded_at_s: since the epoch.
            is_told: whether `envoy_followed` is going to be called.
        """
        runtime, config = prepared.runtime, prepared.runtime.config
        to = Generation(generation, runtime, prepared.content_hash, loaded_at_s)
        self.generations.switch(to, is_told=is_told)
        self._admission.limit(config.limits)
        self._observation.follow(config)
        if self._tap is not None:
            self._tap.follow(config)
        if self._bearer is not None:
            self._bearer.follow(config.server.admin_token)
        describe_plugins(self._metrics, runtime)
        self._metrics.config(generation, prepared.content_hash)
        await self._grpc.set_serving(serving=self._is_ready, plugins=runtime.instances)

    async def replace_config(self, wanted: Running) -> list[str]:
        """Serve with another config.

        Raises:
            ConfigError: it cannot be used, and nothing has changed.
        """
        prepared = await self.prepare(wanted.config, wanted.source)
        await self.commit(prepared, wanted.generation, wanted.loaded_at_s, is_told=self._is_told)
        return prepared.changes

    def envoy_followed(self) -> None:
        """Drop what is kept for an Envoy that lags behind."""
        self.generations.envoy_followed()

    async def _administer(self, instance: str, request: AdminRequest) -> AdminAnswer:
        if self._state == "starting":
            return fault(503, "the plugins have not started yet")
        return await administered(self.runtime, instance, request)

    def _readiness(self) -> tuple[bool, dict[str, object]]:
        replaced = self.generations.replaced
        detail: dict[str, object] = {
            "state": self._state,
            "version": __version__,
            "config": {
                **config_detail(self.running, self._reloader),
                "replaced": [{"generation": g.number, "streams": g.streams} for g in replaced],
            },
            "routes": list(self.runtime.routes),
            "plugins": list(self.runtime.instances),
        }
        return self._is_ready, detail


def _engines(runtime: Runtime) -> Mapping[str, Engine]:
    return runtime.inference.engines.engines if runtime.inference is not None else {}


def _exchanges(bearer: Bearer | None, ring: Ring | None) -> Exchanges | None:
    if bearer is None or ring is None:
        return None

    async def find(exchange_id: str) -> bytes | None:
        return ring.get(exchange_id)

    return Exchanges(bearer, find)


@asynccontextmanager
async def running(
    runtime: Runtime,
    *,
    reload_from: Path | None = None,
    on_generation: OnGeneration | None = None,
    poll_s: float = POLL_S,
) -> AsyncIterator[HostProcess]:
    """Run a host process for the time of the block, then drain it at once."""
    process = HostProcess(
        runtime, reload_from=reload_from, on_generation=on_generation, poll_s=poll_s
    )
    del runtime  # it may be replaced, and is not to be kept here
    await process.start()
    try:
        yield process
    finally:
        await process.stop(unhealthy_s=0.0)


async def serve(runtime: Runtime, path: Path) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends it at once.

    Args:
        runtime: the compiled config.
        path: its file, which is read again when it changes.

    Raises:
        ConfigError: an address cannot be used, or a plugin's startup failed.
    """
    telemetry = runtime.config.telemetry
    configure_logs(telemetry.log_level, telemetry.log_format)
    process = HostProcess(runtime, reload_from=path)
    del runtime  # it may be replaced, and is not to be kept here
    await serve_until_signal(process, settle)


def settle() -> None:
    """Tune the garbage collector for a process that has made what it will live with."""
    # What was made so far lives as long as the process: the collector need not look at it again.
    # An exchange leaves few cycles, so it may look more rarely as well.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def settle_again() -> None:
    """Free what plugins that have ended left, in a process that has settled before."""
    # What was frozen is never looked at, and a plugin's model may be among it. This stops the
    # loop for as long as one look at everything takes: it is not for every reload.
    if gc.get_freeze_count():
        gc.unfreeze()
        settle()


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run a process' main coroutine in an event loop of uvloop's, where there is one."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)
