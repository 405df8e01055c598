"""The metrics of models: of whoever asks them, and of a node that serves them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from pipeline.inference.remote.breaker import State
from pipeline.inference.remote.traffic import BOUNDS_S, Remote, Traffic
from pipeline.observability.catalogue import Metric

if TYPE_CHECKING:
    from pipeline.inference.engine import Engine

CALLS = Metric(
    "dragoman_model_calls_total",
    "counter",
    ("model", "status"),
    "`ModelInfer` calls that ended, by gRPC status; without a model where the name is unknown.",
)
CALL_DURATION = Metric(
    "dragoman_model_call_duration_seconds",
    "histogram",
    ("model",),
    "Time that a `ModelInfer` call took.",
    BOUNDS_S,
)
TEXTS = Metric("dragoman_model_texts_total", "counter", ("model",), "Texts that calls asked about.")
TEXTS_HELD = Metric("dragoman_model_texts_held", "gauge", (), "Texts that are being read now.")
READINGS = Metric(
    "dragoman_model_readings_total",
    "counter",
    ("model", "how"),
    "Readings: `remembered` from a text before, `shared` with a text under way, or `computed`.",
)
REFUSALS = Metric(
    "dragoman_model_refusals_total",
    "counter",
    ("model", "code"),
    "Readings that could not be had, by why: `queue_full`, `deadline`, `unavailable`, "
    "`model_failed`, `text_too_large`.",
)
TOKENS = Metric(
    "dragoman_model_tokens_total",
    "counter",
    ("model", "read"),
    "Tokens of computed texts; `read` is `no` for those behind the last window.",
)
NODE_CALLS = Metric(
    "dragoman_model_node_calls_total",
    "counter",
    ("model", "address", "status"),
    "Calls of inference nodes that ended, by gRPC status.",
)
NODE_CALL_DURATION = Metric(
    "dragoman_model_node_call_duration_seconds",
    "histogram",
    ("model", "address"),
    "Time that a call of an inference node took.",
    BOUNDS_S,
)
NODE_RETRIES = Metric(
    "dragoman_model_node_retries_total",
    "counter",
    ("model", "address"),
    "Texts that went to another node after this one was lost, refused them or failed.",
)
NODE_BREAKER = Metric(
    "dragoman_model_node_breaker",
    "gauge",
    ("model", "address", "state"),
    "1 for the state that a node's circuit breaker is in: `closed`, `open` or `probing`.",
)

NODE_METRICS = (NODE_CALLS, NODE_CALL_DURATION, NODE_RETRIES, NODE_BREAKER)
ENGINE_METRICS = (READINGS, REFUSALS, TOKENS, *NODE_METRICS)
"""Those of whoever asks models, hosts and `dragoman serve-models`, in the reference's order."""

MODEL_METRICS = (CALLS, CALL_DURATION, TEXTS, TEXTS_HELD)
"""Those of `dragoman serve-models` alone."""


class EngineMetrics(Collector):
    """Tells Prometheus of what engines counted.

    Args:
        engines: returns those there are now, by the model's name.
    """

    def __init__(self, engines: Callable[[], Mapping[str, Engine]]) -> None:
        self._engines = engines

    def collect(self) -> Iterator[Family]:
        """Give Prometheus every series."""
        readings: dict[tuple[str, ...], int] = {}
        refusals: dict[tuple[str, ...], int] = {}
        tokens: dict[tuple[str, ...], int] = {}
        for name, engine in self._engines().items():
            counts = engine.counts
            readings[name, "remembered"] = counts.hits
            readings[name, "shared"] = counts.coalesced
            readings[name, "computed"] = counts.computed
            refusals |= {(name, code): count for code, count in counts.refused.items()}
            tokens[name, "yes"] = counts.tokens - counts.unread_tokens
            tokens[name, "no"] = counts.unread_tokens
        yield _counter(READINGS, readings)
        yield _counter(REFUSALS, refusals)
        yield _counter(TOKENS, tokens)
        yield from self._of_nodes()

    def _of_nodes(self) -> Iterator[Family]:
        found: dict[tuple[str, str], Traffic] = {}
        for name, engine in self._engines().items():
            if isinstance(engine.source, Remote):
                found |= {(name, address): one for address, one in engine.source.traffic.items()}
        calls: dict[tuple[str, ...], int] = {
            (*node, status): count
            for node, traffic in found.items()
            for status, count in traffic.statuses.items()
        }
        yield _counter(NODE_CALLS, calls)
        yield _histogram(
            NODE_CALL_DURATION, {node: (one.durations, one.total_s) for node, one in found.items()}
        )
        yield _counter(NODE_RETRIES, {node: one.retries for node, one in found.items()})
        breakers = GaugeMetricFamily(
            NODE_BREAKER.name, NODE_BREAKER.description, labels=NODE_BREAKER.labels
        )
        for node, traffic in found.items():
            for state in get_args(State):
                breakers.add_metric([*node, state], traffic.state == state)
        yield breakers


class ModelMetrics(EngineMetrics):
    """Counts calls, and tells Prometheus of them as well.

    Args:
        engines: whose readings are told, by the model's name.
    """

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        super().__init__(lambda: engines)
        self._calls: Counter[tuple[str, ...]] = Counter()
        self._texts: Counter[str] = Counter()
        self._durations: defaultdict[str, list[int]] = defaultdict(
            lambda: [0] * (len(CALL_DURATION.bounds) + 1)
        )
        self._total_s: defaultdict[str, float] = defaultdict(float)
        self._held = 0

    def called(self, model: str, status: str, texts: int, duration_s: float) -> None:
        """See a call end."""
        self._calls[model, status] += 1
        self._texts[model] += texts
        self._durations[model][bisect_left(CALL_DURATION.bounds, duration_s)] += 1
        self._total_s[model] += duration_s

    def held(self, texts: int) -> None:
        """See how many texts are being read now."""
        self._held = texts

    def collect(self) -> Iterator[Family]:
        """Give Prometheus every series."""
        yield _counter(CALLS, self._calls)
        yield _histogram(
            CALL_DURATION,
            {(model,): (found, self._total_s[model]) for model, found in self._durations.items()},
        )
        yield _counter(TEXTS, {(model,): count for model, count in self._texts.items()})
        yield GaugeMetricFamily(TEXTS_HELD.name, TEXTS_HELD.description, self._held)
        yield from super().collect()


def _histogram(
    metric: Metric, values: Mapping[tuple[str, ...], tuple[Sequence[int], float]]
) -> Family:
    family = HistogramMetricFamily(metric.name, metric.description, labels=metric.labels)
    bounds = [*map(str, metric.bounds), "+Inf"]
    for labels, (counts, total) in values.items():
        buckets = list(zip(bounds, accumulate(counts), strict=True))
        family.add_metric(labels, buckets, total)
    return family


def _counter(metric: Metric, values: Mapping[tuple[str, ...], int]) -> Family:
    family = CounterMetricFamily(metric.name, metric.description, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
