"""One host process: started, ready when every plugin is, and drained without losing an exchange."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from pipeline import __version__
from pipeline.errors import ConfigError
from pipeline.host.runtime import Runtime
from pipeline.observability.logs import configure_logs, get_logger
from pipeline.observability.metrics import Metrics, exposition
from pipeline.observability.observer import describe_plugins, make_observation
from pipeline.observability.ring import Ring
from pipeline.server.admin import Admin
from pipeline.server.exchanges import Exchanges
from pipeline.server.grpc_server import GrpcServer
from pipeline.server.signals import serve_until_signal
from pipeline.server.tls import BadCertificate
from pipeline.wire.admission import Admission
from pipeline.wire.service import ExternalProcessor
from pipeline.wire.tapping import make_tap

# Between telling health checks and refusing streams: longer than the interval at which our
# Envoy configuration makes Envoy ask.
UNHEALTHY_S = 1.0
_GC_THRESHOLDS = (20_000, 20, 20)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process listens, and how long it is out of rotation before it refuses streams.

    Args:
        address: for Envoy.
        admin: for operators.
        unhealthy_s: how long Envoy has to notice before streams are refused.
    """

    address: str
    admin: str
    unhealthy_s: float = UNHEALTHY_S


class HostProcess:
    """Serves a compiled config.

    Args:
        runtime: the compiled config.
        place: where; as the config says if absent.
    """

    def __init__(self, runtime: Runtime, place: Place | None = None) -> None:
        server = runtime.config.server
        place = place or Place(server.address, server.admin)
        self.runtime = runtime
        self._unhealthy_s = place.unhealthy_s
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
        self._tap = make_tap(runtime.config, place.address)
        processor = ExternalProcessor(
            runtime,
            self._observation,
            self._metrics,
            time.monotonic,
            Admission(runtime.config.limits, self._metrics),
            self._observation.ring,
            self._tap,
        )
        self._grpc = GrpcServer(runtime.config, processor, place.address)
        self._admin = Admin(
            place.admin,
            lambda: exposition(registry),
            self._readiness,
            exchanges=_exchanges(server.admin_token, self._observation.ring),
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

    async def stop(self, *, unhealthy_s: float | None = None) -> None:
        """Drain: out of rotation first, then no new streams, then an end to those in flight.

        Args:
            unhealthy_s: how long Envoy has to notice before streams are refused; as the place
                says if absent.
        """
        self._is_ready, self._state = False, "draining"
        await self._grpc.set_serving(serving=False)
        await asyncio.sleep(self._unhealthy_s if unhealthy_s is None else unhealthy_s)
        await self._grpc.stop(self.runtime.config.server.drain)
        await self.runtime.shutdown()
        if self._lag is not None:
            self._lag.cancel()
        await asyncio.to_thread(self._observation.shutdown)
        if self._tap is not None:
            await asyncio.to_thread(self._tap.close)
        await self._admin.stop()

    def abort(self) -> None:
        """End the process now, whatever is in flight: threads of plugins could keep it alive."""
        os._exit(1)

    def _readiness(self) -> tuple[bool, dict[str, object]]:
        detail: dict[str, object] = {
            "state": self._state,
            "version": __version__,
            "routes": list(self.runtime.routes),
            "plugins": list(self.runtime.instances),
        }
        return self._is_ready, detail


def _exchanges(token: SecretStr | None, ring: Ring | None) -> Exchanges | None:
    if token is None or ring is None:
        return None

    async def find(exchange_id: str) -> bytes | None:
        return ring.get(exchange_id)

    return Exchanges(token.get_secret_value(), find)


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
    await serve_until_signal(HostProcess(runtime), settle)


def settle() -> None:
    """Tune the garbage collector for a process that has made what it will live with."""
    # What was made so far lives as long as the process: the collector need not look at it again.
    # An exchange leaves few cycles, so it may look more rarely as well.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run a process' main coroutine in an event loop of uvloop's, where there is one."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)
