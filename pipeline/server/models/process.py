"""One node process: ready when every model is warm, drained without losing a call."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from pipeline import __version__
from pipeline.config.inference import InferenceConfig
from pipeline.config.tls import ServerTlsConfig
from pipeline.errors import ConfigError, Problem
from pipeline.inference.engines import Engines
from pipeline.observability.logs import get_logger
from pipeline.observability.metrics import exposition
from pipeline.server.admin import Admin
from pipeline.server.grpc_server import Listener
from pipeline.server.models.metrics import ModelMetrics
from pipeline.server.models.service import MAX_MESSAGE_BYTES, InferenceService
from pipeline.server.process import settle
from pipeline.server.signals import serve_until_signal
from pipeline.server.tls import BadCertificate


@dataclass(frozen=True, slots=True)
class ModelsPlace:
    """Where a node listens, and how it leaves.

    Args:
        address: for hosts, `host:port` or `unix:/path`.
        admin: for operators, likewise.
        tls: of the former.
        unhealthy_s: how long it is not ready before it refuses calls: for load balancers that ask.
        drain_s: how long calls in flight may take then.
        is_shared: whether its callers are the workers of one host, which count readings
            themselves and whose metrics are added to its own.
    """

    address: str
    admin: str
    tls: ServerTlsConfig | None = None
    unhealthy_s: float = 1.0
    drain_s: float = 2.0
    is_shared: bool = False


class ModelServer:
    """Serves engines to other processes.

    Args:
        engines: one a model.
        config: how many texts may be read at once, and how long one may take.
        place: where.
    """

    def __init__(self, engines: Engines, config: InferenceConfig, place: ModelsPlace) -> None:
        self.address = ""
        self.admin_address = ""
        self._state = "starting"
        self._engines = engines
        self._place = place
        registry = CollectorRegistry()
        metrics = ModelMetrics({} if place.is_shared else engines.engines)
        registry.register(metrics)
        self._service = InferenceService(
            engines.engines, metrics, most_texts=config.queue, timeout_s=config.timeout
        )
        self._grpc = Listener(self._service.handlers(), place.address, place.tls, MAX_MESSAGE_BYTES)
        self._admin = Admin(place.admin, lambda: exposition(registry), self._readiness)

    async def start(self) -> None:
        """Listen, load and warm up every model, and only then say that the node is ready.

        Raises:
            ConfigError: an address or a certificate cannot be used.
            InferenceError: a model cannot.
        """
        try:
            self.admin_address = await self._listen(self._admin, self._place.admin)
            self.address = await self._listen(self._grpc, self._place.address)
            await self._grpc.set_health("", serving=False)
            await self._engines.start()
        except BaseException:
            await self._grpc.stop(0)
            await self._admin.stop()
            raise
        self._service.is_warm = self._service.is_ready = True
        await self._grpc.set_health("", serving=True)
        self._state = "serving"
        get_logger().info(
            "serving models",
            models=list(self._engines.engines),
            address=self.address,
            admin=self.admin_address,
        )

    async def stop(self) -> None:
        """Drain: out of rotation first, then no new calls, then an end to those in flight."""
        self._state = "draining"
        self._service.is_ready = False
        await self._grpc.set_health("", serving=False)
        await asyncio.sleep(self._place.unhealthy_s)
        await self._grpc.stop(self._place.drain_s)
        await self._engines.close()
        await self._admin.stop()

    def abort(self) -> None:
        """End the process now, whatever is in flight."""
        os._exit(1)

    def _readiness(self) -> tuple[bool, dict[str, object]]:
        models = {
            name: {"version": engine.source.identity, "signals": list(engine.source.heads)}
            for name, engine in self._engines.engines.items()
            if self._service.is_warm
        }
        return self._service.is_ready, {
            "state": self._state,
            "version": __version__,
            "models": models,
        }

    @staticmethod
    async def _listen(server: Admin | Listener, address: str) -> str:
        try:
            return await server.start()
        except BadCertificate as error:
            raise ConfigError(Problem("", str(error))) from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigError(Problem("", f"cannot listen on {address}: {reason}")) from error


async def serve(
    engines: Engines,
    config: InferenceConfig,
    place: ModelsPlace,
    started: Callable[[ModelServer], object] = lambda _: None,
    orphaned: Awaitable[object] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends it at once.

    Args:
        engines: see `ModelServer`.
        config: see `ModelServer`.
        place: see `ModelServer`.
        started: called when it is ready.
        orphaned: see `until_signal`.

    Raises:
        ConfigError: an address or a certificate cannot be used.
        InferenceError: a model cannot.
    """
    server = ModelServer(engines, config, place)

    def ready() -> None:
        settle()
        started(server)

    await serve_until_signal(server, ready, orphaned)
