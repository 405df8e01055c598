"""One host process: started, ready when every plugin is, and drained without losing an exchange."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry

from pipeline import __version__
from pipeline.config.load import load_config
from pipeline.errors import ConfigError
from pipeline.host.compile import compile_config
from pipeline.host.runtime import Runtime
from pipeline.observability.logs import configure_logs, get_logger, log_loop_fault
from pipeline.observability.metrics import Metrics, exposition
from pipeline.observability.observer import describe_plugins, make_observation
from pipeline.server.admin import Admin
from pipeline.server.grpc_server import GrpcServer
from pipeline.wire.service import ExternalProcessor

# Between telling health checks and refusing streams: longer than the interval at which our
# Envoy configuration makes Envoy ask.
_UNHEALTHY_S = 1.0
_GC_THRESHOLDS = (20_000, 20, 20)


class HostProcess:
    """Serves a compiled config.

    Args:
        runtime: the compiled config.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.address = ""
        self.admin_address = ""
        self._is_ready = False
        self._state = "starting"
        registry = CollectorRegistry()
        self._metrics = Metrics(registry)
        describe_plugins(self._metrics, runtime)
        offset_s = time.time() - time.monotonic()
        self._observation = make_observation(
            runtime.config, self._metrics, time.monotonic, lambda s: int((s + offset_s) * 1e9)
        )
        processor = ExternalProcessor(runtime, self._observation, self._metrics, time.monotonic)
        self._grpc = GrpcServer(runtime.config, processor)
        self._admin = Admin(
            runtime.config.server.admin, lambda: exposition(registry), self._readiness
        )
        self._lag: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen, start every plugin, and only then say that the process is ready.

        Raises:
            ConfigError: an address cannot be used, or a plugin's startup failed.
        """
        source = self.runtime.source
        try:
            self.admin_address = await self._admin.start()
        except OSError as error:
            message = f"cannot listen there: {error.strerror or error}"
            raise ConfigError(source.problem(("server", "admin"), message)) from error
        try:
            await self.runtime.startup()
            self.address = await self._grpc.start()
        except BaseException as error:
            await self.runtime.shutdown()
            await self._admin.stop()
            if not isinstance(error, OSError):
                raise
            message = f"cannot listen there: {error.strerror or error}"
            raise ConfigError(source.problem(("server", "address"), message)) from error
        await self._grpc.set_serving(serving=True)
        self._lag = asyncio.create_task(self._metrics.watch_loop(time.monotonic))
        self._is_ready, self._state = True, "serving"
        get_logger().info("serving", address=self.address, admin=self.admin_address)

    async def stop(self, *, unhealthy_s: float = _UNHEALTHY_S) -> None:
        """Drain: out of rotation first, then no new streams, then an end to those in flight.

        Args:
            unhealthy_s: how long Envoy has to notice before streams are refused.
        """
        self._is_ready, self._state = False, "draining"
        await self._grpc.set_serving(serving=False)
        await asyncio.sleep(unhealthy_s)
        await self._grpc.stop(self.runtime.config.server.drain)
        await self.runtime.shutdown()
        if self._lag is not None:
            self._lag.cancel()
        await asyncio.to_thread(self._observation.shutdown)
        await self._admin.stop()

    def _readiness(self) -> tuple[bool, dict[str, object]]:
        detail: dict[str, object] = {
            "state": self._state,
            "version": __version__,
            "routes": list(self.runtime.routes),
            "plugins": list(self.runtime.instances),
        }
        return self._is_ready, detail


def compile_file(path: Path, environment: Mapping[str, str]) -> Runtime:
    """Load and compile a config file.

    Raises:
        ConfigError: with every problem found.
    """
    config, source = load_config(path, environment)
    return compile_config(config, source)


@asynccontextmanager
async def running(runtime: Runtime) -> AsyncIterator[HostProcess]:
    """Run a host process for the time of the block, then drain it at once."""
    process = HostProcess(runtime)
    await process.start()
    try:
        yield process
    finally:
        await process.stop(unhealthy_s=0.0)


async def serve(runtime: Runtime) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends it at once.

    Raises:
        ConfigError: an address cannot be used, or a plugin's startup failed.
    """
    telemetry = runtime.config.telemetry
    configure_logs(telemetry.log_level, telemetry.log_format)
    signals: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.put_nowait, number)
    loop.set_exception_handler(log_loop_fault)
    process = HostProcess(runtime)
    starting = asyncio.ensure_future(process.start())
    asked = asyncio.ensure_future(signals.get())
    await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return
    await starting
    # What was made so far lives as long as the process: the collector need not look at it again.
    # An exchange leaves few cycles, so it may look more rarely as well.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    await asked
    get_logger().info("draining")
    drain = asyncio.ensure_future(process.stop())
    again = asyncio.ensure_future(signals.get())
    await asyncio.wait({drain, again}, return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    if not drain.done():
        raise SystemExit(1)
    await drain


def run_loop(runtime: Runtime) -> None:
    """Run `serve` in an event loop of uvloop's.

    Raises:
        ConfigError: as `serve`.
    """
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        asyncio.run(serve(runtime))
    else:
        uvloop.run(serve(runtime))
