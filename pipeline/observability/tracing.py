"""Spans: an exchange and each hook of it, made at its end, so that they cost nothing before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from pipeline import __version__
from pipeline.api.exchange import Exchange
from pipeline.api.outcome import Outcome, Step
from pipeline.errors import ConfigError, Problem
from pipeline.observability.facts import answer_of, label
from pipeline.observability.fields import field_labels

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_SIGNAL_PATH = "/v1/traces"
# By dialect; the convention lets an API of another kind have a name of its own.
_OPERATIONS = {
    "openai.chat": "chat",
    "openai.responses": "chat",
    "openai.completions": "text_completion",
    "openai.embeddings": "embeddings",
    "anthropic.messages": "chat",
    "anthropic.count_tokens": "count_tokens",
    "openai.input_tokens": "count_tokens",
    "vllm.tokenize": "count_tokens",
    "cohere.rerank": "rerank",
}
_PROPAGATOR = TraceContextTextMapPropagator()
_TRACE_HEADERS = ("traceparent", "tracestate")
_INT64_MAX = 2**63 - 1


class Tracing:
    """Makes the spans of exchanges.

    Args:
        provider: of OpenTelemetry's SDK.
        wall_ns: turns monotonic seconds into nanoseconds since the epoch.
        providers: name of each backend's provider, by backend.
    """

    def __init__(
        self,
        provider: TracerProvider,
        wall_ns: Callable[[float], int],
        providers: Mapping[str, str],
    ) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("dragoman", __version__)
        self._wall_ns = wall_ns
        self.providers = providers

    def ended(self, exchange: Exchange, outcome: Outcome, ended_s: float) -> None:
        """Make the spans of an exchange that ended at a monotonic time."""
        started_s = ended_s - outcome.duration_s
        if outcome.steps:
            # `on_complete` runs between the measured duration and the end.
            started_s = min(started_s, outcome.steps[0].started_s)
        headers = exchange.request.headers
        carrier = {name: headers.get(name) for name in _TRACE_HEADERS if name in headers}
        span = self._tracer.start_span(
            _name(exchange),
            context=_PROPAGATOR.extract(carrier, Context()),
            kind=SpanKind.SERVER if exchange.call is None else SpanKind.CLIENT,
            start_time=self._wall_ns(started_s),
        )
        if span.is_recording():
            span.set_attributes(self._attributes(exchange, outcome))
            if outcome.ending == "failed" or outcome.status >= 500:
                span.set_status(Status(StatusCode.ERROR))
            inside = set_span_in_context(span, Context())
            for step in outcome.steps:
                self._step(step, inside)
        span.end(self._wall_ns(started_s + outcome.duration_s))

    def flush(self, timeout_s: float) -> bool:
        """Export what is held; say whether that was done in time."""
        return self._provider.force_flush(int(timeout_s * 1000))

    def shutdown(self) -> None:
        """Export what is held, and stop."""
        self._provider.shutdown()

    def _step(self, step: Step, inside: Context) -> None:
        span = self._tracer.start_span(
            f"{step.instance} {step.hook}",
            context=inside,
            start_time=self._wall_ns(step.started_s),
            attributes={
                "dragoman.plugin": step.instance,
                "dragoman.hook": step.hook,
                "dragoman.decision": step.decision,
                "dragoman.reason": label(step.reason),
                "dragoman.applied": step.applied,
            },
        )
        if step.decision == "error":
            span.set_attribute("error.type", step.reason)
            span.set_status(Status(StatusCode.ERROR))
        span.end(self._wall_ns(step.started_s + step.duration_s))

    def _attributes(self, exchange: Exchange, outcome: Outcome) -> dict[str, Any]:
        attributes: dict[str, Any] = {
            "dragoman.route": exchange.route,
            "dragoman.request_id": label(exchange.id),
            "dragoman.ending": outcome.ending,
            "dragoman.overhead_ms": outcome.overhead_s * 1000,
        }
        if outcome.status:
            attributes["http.response.status_code"] = outcome.status
        if exchange.tenant is not None:
            attributes["dragoman.tenant"] = label(exchange.tenant)
        if exchange.backend is not None:
            attributes["dragoman.backend"] = exchange.backend
            if exchange.backend in self.providers:
                attributes["gen_ai.provider.name"] = self.providers[exchange.backend]
        if outcome.dropped:
            attributes["dragoman.dropped"] = field_labels(outcome.dropped)
        call = exchange.call
        if call is not None:
            attributes["gen_ai.operation.name"] = _operation(exchange)
            attributes["gen_ai.request.model"] = label(call.model)
            attributes["gen_ai.request.stream"] = call.stream
        return attributes | _answered(exchange)


def make_provider(endpoint: str) -> TracerProvider:
    """Return a provider that exports to a collector, over HTTP and in batches.

    Args:
        endpoint: the collector's base URL, for instance `http://localhost:4318`.

    Raises:
        ConfigError: the extra that this needs is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        message = "spans need an extra: pip install 'dragoman[otlp]'"
        raise ConfigError(Problem("telemetry.otlp_endpoint", message)) from error
    resource = Resource.create({"service.name": "dragoman", "service.version": __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    url = endpoint.rstrip("/")
    exporter = OTLPSpanExporter(url if url.endswith(_SIGNAL_PATH) else url + _SIGNAL_PATH)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _name(exchange: Exchange) -> str:
    if exchange.call is None:
        return f"{label(exchange.request.method)} {exchange.route}"
    return f"{_operation(exchange)} {label(exchange.call.model)}".rstrip()


def _operation(exchange: Exchange) -> str:
    name = exchange.dialect.name if exchange.dialect is not None else ""
    return _OPERATIONS.get(name, name)


def _answered(exchange: Exchange) -> dict[str, Any]:
    answer = answer_of(exchange)
    if answer is None:
        return {}
    attributes: dict[str, Any] = {"gen_ai.response.model": label(answer.model)}
    if answer.finish_reason:
        attributes["gen_ai.response.finish_reasons"] = [label(answer.finish_reason)]
    counts = {"input": answer.usage.input_tokens, "output": answer.usage.output_tokens}
    for kind, tokens in counts.items():
        if tokens is not None and 0 <= tokens <= _INT64_MAX:
            attributes[f"gen_ai.usage.{kind}_tokens"] = tokens
    return attributes
