"""The observer of every exchange: what ends is counted, logged and traced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from structlog.typing import FilteringBoundLogger

from pipeline.api.exchange import Exchange
from pipeline.api.outcome import Outcome
from pipeline.config.schema import Config
from pipeline.host.runtime import Runtime
from pipeline.observability.logs import get_logger, log_exchange
from pipeline.observability.metrics import Metrics

if TYPE_CHECKING:
    from pipeline.observability.ring import Ring
    from pipeline.observability.tracing import Tracing

# A hook that blocks does so with every exchange: to be told once a minute is enough.
_WARN_EVERY_S = 60.0


class Observation:
    """Sees exchanges end; an `Observer` of the host.

    Args:
        metrics: where they are counted.
        logger: where they are logged.
        clock: monotonic seconds, the same that the host measures by.
        tracing: makes their spans, if any are wanted.
        ring: remembers them, if that is wanted.
    """

    def __init__(
        self,
        metrics: Metrics,
        logger: FilteringBoundLogger,
        clock: Callable[[], float],
        tracing: Tracing | None = None,
        ring: Ring | None = None,
    ) -> None:
        self.ring = ring
        self._metrics = metrics
        self._logger = logger
        self._clock = clock
        self._tracing = tracing
        self._warned_s: dict[tuple[str, str], float] = {}

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """Count, log and trace an exchange."""
        ended_s = self._clock()
        self._metrics.ended(exchange, outcome)
        log_exchange(self._logger, exchange, outcome)
        if self._tracing is not None:
            self._tracing.ended(exchange, outcome, ended_s)
        if self.ring is not None:
            self.ring.ended(exchange, outcome)

    def violation(self, kind: str) -> None:
        """Count and log a message that broke the protocol or a limit."""
        self._metrics.violation(kind)
        self._logger.debug("violation", kind=kind)

    def dropped(self, backend: str, fields: Sequence[str]) -> None:
        """Count the fields that a backend was not sent."""
        self._metrics.dropped(backend, fields)

    def held(self, instance: str, hook: str, held_s: float) -> None:
        """Warn of a hook that held the event loop, now and then."""
        now_s = self._clock()
        if now_s - self._warned_s.get((instance, hook), -_WARN_EVERY_S) < _WARN_EVERY_S:
            return
        self._warned_s[instance, hook] = now_s
        ms = round(held_s * 1000)
        self._logger.warning("plugin held the event loop", instance=instance, hook=hook, ms=ms)

    def follow(self, config: Config) -> None:
        """Name the providers of another config's backends."""
        if self._tracing is not None:
            self._tracing.providers = _providers(config)

    def shutdown(self) -> None:
        """Export the spans that are held; this may take seconds."""
        if self._tracing is not None:
            self._tracing.shutdown()


def make_observation(
    config: Config, metrics: Metrics, clock: Callable[[], float], wall_ns: Callable[[float], int]
) -> Observation:
    """Make the observer that a config asks for; `configure_logs` comes first.

    Args:
        config: its `telemetry` and the providers of its backends.
        metrics: where exchanges are counted.
        clock: monotonic seconds.
        wall_ns: turns them into nanoseconds since the epoch.

    Raises:
        ConfigError: spans are wanted and what they need is not installed.
    """
    tracing = None
    if config.telemetry.otlp_endpoint is not None:
        # OpenTelemetry costs memory and start-up time: only those who trace pay.
        from pipeline.observability.tracing import Tracing, make_provider  # noqa: PLC0415

        provider = make_provider(config.telemetry.otlp_endpoint)
        tracing = Tracing(provider, wall_ns, _providers(config))
    ring = None
    telemetry = config.telemetry
    if config.server.admin_token is not None and telemetry.keep:
        # Every decision is seen for it: only those who can ask for it pay.
        from pipeline.observability.ring import Ring  # noqa: PLC0415

        ring = Ring(telemetry.keep, lambda s: wall_ns(s) / 1e9, with_texts=telemetry.keep_texts)
    return Observation(metrics, get_logger(), clock, tracing, ring)


def _providers(config: Config) -> dict[str, str]:
    return {name: backend.provider for name, backend in config.backends.items()}


def describe_plugins(metrics: Metrics, runtime: Runtime) -> None:
    """Say in the metrics which plugin is behind each instance."""
    metrics.forget_plugins()
    for name, instance in runtime.instances.items():
        metrics.plugin(
            name,
            uses=instance.uses,
            distribution=instance.found.distribution,
            version=instance.found.version,
        )
