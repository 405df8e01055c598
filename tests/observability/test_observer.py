import pytest
from prometheus_client import CollectorRegistry

from pipeline.config.schema import Config
from pipeline.host.runtime import Observer
from pipeline.observability.metrics import Metrics
from pipeline.observability.observer import make_observation
from pipeline.testing.clock import Clock


@pytest.fixture
def registry():
    return CollectorRegistry()


def observe(registry, telemetry=None) -> Observer:
    config = Config.model_validate({"telemetry": telemetry or {}})
    return make_observation(config, Metrics(registry), lambda: 100.6, lambda s: int(s * 1e9))


def test_an_exchange_is_counted_and_logged(registry, make, log_to, lines_of):
    stream = log_to("debug")
    observe(registry).ended(make.exchange(), make.outcome())
    labels = {"route": "chat", "ending": "completed", "status_class": "2xx"}
    assert registry.get_sample_value("dragoman_exchanges_total", labels) == 1
    assert [line["event"] for line in lines_of(stream)] == ["exchange"]


def test_a_violation_is_counted_and_logged(registry, log_to, lines_of):
    stream = log_to("debug")  # clients could fill a log at any other level
    observe(registry).violation("protocol_violation")
    name = "dragoman_protocol_violations_total"
    assert registry.get_sample_value(name, {"kind": "protocol_violation"}) == 1
    (line,) = lines_of(stream)
    assert (line["event"], line["kind"]) == ("violation", "protocol_violation")


def test_exchanges_are_traced_when_there_is_an_endpoint(registry, make, log_to, monkeypatch):
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from pipeline.observability import tracing

    exporter = InMemorySpanExporter()
    asked = []

    def in_memory(endpoint):
        asked.append(endpoint)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        return provider

    monkeypatch.setattr(tracing, "make_provider", in_memory)
    log_to("error")
    observation = observe(registry, {"otlp_endpoint": "http://127.0.0.1:4318"})
    observation.ended(make.exchange(), make.outcome())
    (span,) = exporter.get_finished_spans()
    assert span.end_time == pytest.approx(100.6e9)
    observation.shutdown()
    assert asked == ["http://127.0.0.1:4318"]


def test_a_hook_that_holds_the_loop_is_told_once_a_minute(log_to, lines_of):
    stream = log_to("warning")
    clock = Clock()
    config = Config.model_validate({})
    observation = make_observation(config, Metrics(CollectorRegistry()), clock, int)
    for _ in range(3):
        observation.held("guard", "on_request", 0.0604)
        clock.advance(30.0)
    observation.held("guard", "on_response", 1.5)

    told = [
        (line["level"], line["instance"], line["hook"], line["ms"]) for line in lines_of(stream)
    ]
    assert told == [
        ("warning", "guard", "on_request", 60),
        ("warning", "guard", "on_request", 60),
        ("warning", "guard", "on_response", 1500),
    ]
