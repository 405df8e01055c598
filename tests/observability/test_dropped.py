"""Fields that a backend was not sent: told of an exchange by the names that everybody knows."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pipeline.observability.logs import get_logger, log_exchange
from pipeline.observability.ring import Ring
from pipeline.observability.tracing import Tracing


@pytest.fixture
def told(make, log_to, lines_of):
    """Return what the log, the span and the memory of an exchange tell."""

    def tell(*names):
        exchange, outcome = make.exchange(), replace(make.outcome(), dropped=names)
        stream = log_to("debug")
        log_exchange(get_logger(), exchange, outcome)
        exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        tracing = Tracing(provider, lambda s: int(s * 1e9), {})
        tracing.ended(exchange, outcome, 100.0)
        [span] = exporter.get_finished_spans()
        tracing.shutdown()
        ring = Ring(1, lambda s: s)
        ring.ended(exchange, outcome)
        remembered = ring.get(exchange.id)
        assert remembered is not None
        [line] = lines_of(stream)
        return line, dict(span.attributes), json.loads(remembered)

    return tell


def test_they_are_in_the_log_the_span_and_the_memory(told):
    line, attributes, remembered = told("seed", "messages.name", "canary", "my.canary")

    assert line["dropped"] == ["messages.name", "other", "seed"]
    assert attributes["dragoman.dropped"] == ("messages.name", "other", "seed")
    assert remembered["dropped"] == ["messages.name", "other", "seed"]


def test_where_there_are_none_nothing_is_said(told):
    line, attributes, remembered = told()

    assert "dropped" not in line
    assert "dragoman.dropped" not in attributes
    assert remembered["dropped"] == []
