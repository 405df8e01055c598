"""The metrics of models: of whoever asks them, and of a node that serves them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

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
    (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
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

ENGINE_METRICS = (READINGS, REFUSALS, TOKENS)
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


class ModelMetrics(EngineMetrics):
    """Counts calls, and tells Prometheus of them as well.

    Args:
        engines: by the model's name.
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
        histogram = HistogramMetricFamily(
            CALL_DURATION.name, CALL_DURATION.description, labels=CALL_DURATION.labels
        )
        bounds = [*map(str, CALL_DURATION.bounds), "+Inf"]
        for model, found in self._durations.items():
            buckets = list(zip(bounds, accumulate(found), strict=True))
            histogram.add_metric([model], buckets, self._total_s[model])
        yield histogram
        yield _counter(TEXTS, {(model,): count for model, count in self._texts.items()})
        yield GaugeMetricFamily(TEXTS_HELD.name, TEXTS_HELD.description, self._held)
        yield from super().collect()


def _counter(metric: Metric, values: Mapping[tuple[str, ...], int]) -> Family:
    family = CounterMetricFamily(metric.name, metric.description, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
