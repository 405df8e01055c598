import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from pipeline.errors import ConfigError
from pipeline.observability.tracing import Tracing, make_provider

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01".encode()
# The wall clock is a thousand seconds ahead of the monotonic one.
SECOND = 10**9


def wall_ns(monotonic_s):
    return round((monotonic_s + 1000) * SECOND)


@pytest.fixture
def traced():
    """Trace an exchange that ended at 100.6 s; return its own span and those of its hooks."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = Tracing(provider, wall_ns, {"main": "openai"})

    def trace(exchange, outcome):
        exporter.clear()
        tracing.ended(exchange, outcome, 100.6)
        *steps, own = exporter.get_finished_spans() or (None,)
        return own, steps

    yield trace
    tracing.shutdown()


def test_a_call_is_described_by_the_genai_conventions(traced, make):
    span, _ = traced(make.exchange(), make.outcome())
    assert span.name == "chat gpt-4o"
    assert span.kind is SpanKind.CLIENT
    assert dict(span.attributes) == {
        "dragoman.route": "chat",
        "dragoman.request_id": "req-1",
        "dragoman.ending": "completed",
        "dragoman.overhead_ms": 4.0,
        "dragoman.tenant": "key-0123",
        "dragoman.backend": "main",
        "http.response.status_code": 200,
        "gen_ai.provider.name": "openai",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.request.stream": False,
        "gen_ai.response.model": "gpt-4o-2024",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 12,
        "gen_ai.usage.output_tokens": 34,
    }


def test_an_exchange_that_is_no_call_is_named_by_its_route(traced, make):
    span, _ = traced(make.exchange(model=None, answered=False), make.outcome(status=0))
    assert span.name == "POST chat"
    assert span.kind is SpanKind.SERVER
    assert not [name for name in span.attributes if name.startswith(("gen_ai.", "http."))]


@pytest.mark.parametrize(
    ("dialect", "operation"),
    [("openai.embeddings", "embeddings"), ("openai.completions", "text_completion")],
)
def test_the_operation_follows_the_dialect(traced, make, dialect, operation):
    span, _ = traced(make.exchange(dialect=dialect, answered=False), make.outcome())
    assert span.attributes["gen_ai.operation.name"] == operation


def test_hooks_are_children_at_the_times_they_ran(traced, make):
    first = make.step("guard", started_s=100.25, duration_s=0.002)
    second = make.step("cache", "reply", started_s=100.3, duration_s=0.01, reason="hit")
    span, (guard, cache) = traced(make.exchange(), make.outcome(first, second))
    assert [guard.name, cache.name] == ["guard on_request", "cache on_request"]
    assert guard.parent.span_id == cache.parent.span_id == span.context.span_id
    assert (guard.start_time, guard.end_time) == (wall_ns(100.25), wall_ns(100.252))
    assert (span.start_time, span.end_time) == (wall_ns(100.1), wall_ns(100.6))
    assert dict(cache.attributes) == {
        "dragoman.plugin": "cache",
        "dragoman.hook": "on_request",
        "dragoman.decision": "reply",
        "dragoman.reason": "hit",
        "dragoman.applied": True,
    }


def test_an_exchange_never_starts_after_its_first_hook(traced, make):
    # What runs after the duration was taken makes the end late.
    span, (hook,) = traced(make.exchange(), make.outcome(make.step(started_s=100.0)))
    assert span.start_time == hook.start_time
    assert span.end_time - span.start_time == SECOND // 2


def test_failures_are_errors(traced, make):
    failed = make.step(decision="error", reason="plugin_timeout", applied=False)
    span, (hook,) = traced(make.exchange(), make.outcome(failed))
    assert span.status.status_code is StatusCode.UNSET
    assert hook.status.status_code is StatusCode.ERROR
    assert hook.attributes["error.type"] == "plugin_timeout"
    for ended in (make.outcome(ending="failed", status=0), make.outcome(status=503)):
        span, _ = traced(make.exchange(), ended)
        assert span.status.status_code is StatusCode.ERROR


def test_the_client_s_trace_is_continued(traced, make):
    given = make.exchange(headers=[("traceparent", PARENT), ("tracestate", b"a=b")])
    span, (hook,) = traced(given, make.outcome(make.step()))
    assert span.context.trace_id == hook.context.trace_id == int(TRACE, 16)
    assert span.parent.span_id == 0xB7AD6B7169203331
    assert span.context.trace_state.get("a") == "b"


@pytest.mark.parametrize("value", [b"", b"nonsense", b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01"])
def test_a_broken_trace_header_begins_a_new_trace(traced, make, value):
    span, _ = traced(make.exchange(headers=[("traceparent", value)]), make.outcome())
    assert span.parent is None


def test_a_trace_that_is_not_sampled_stays_so(traced, make):
    given = make.exchange(headers=[("traceparent", PARENT[:-2] + b"00")])
    span, steps = traced(given, make.outcome(make.step()))
    assert (span, steps) == (None, [])


def test_words_of_clients_are_bounded_and_encodable(traced, make):
    span, _ = traced(make.exchange(model="m\udcff" + "x" * 9999), make.outcome())
    assert len(span.attributes["gen_ai.request.model"]) == 128
    span.to_json().encode()


@pytest.fixture
def collector():
    """A collector: its base URL, and what was posted to it."""
    posted = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            posted.append((self.path, body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", posted
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("suffix", ["", "/", "/v1/traces"])
def test_spans_reach_a_collector(collector, make, suffix):
    url, posted = collector
    tracing = Tracing(make_provider(url + suffix), wall_ns, {})
    tracing.ended(make.exchange(), make.outcome(make.step()), 100.6)
    assert tracing.flush(5.0)
    tracing.shutdown()
    ((path, body),) = posted
    assert path == "/v1/traces"
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    names = [span.name for span in resource.scope_spans[0].spans]
    assert names == ["guard on_request", "chat gpt-4o"]
    about = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert about["service.name"] == "dragoman"


def test_without_the_extra_the_config_is_at_fault(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    with pytest.raises(ConfigError, match=r"pip install 'dragoman\[otlp\]'") as caught:
        make_provider("http://127.0.0.1:4318")
    assert caught.value.problems[0].key == "telemetry.otlp_endpoint"


def test_opentelemetry_is_not_imported_unless_asked_for():
    code = (
        "import sys, pipeline.observability.observer as _;"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
