"""The host's metrics: counted as exchanges end, handed to Prometheus when it asks."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from pipeline import __version__
from pipeline.api.exchange import Exchange
from pipeline.api.outcome import Outcome
from pipeline.observability import catalogue
from pipeline.observability.catalogue import Metric
from pipeline.observability.facts import answer_of
from pipeline.observability.fields import field_label

_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}
# More than any model's context; an upstream may claim anything.
_MAX_TOKENS = 2**40
# As long as Prometheus usually waits between two scrapes: no block falls between them unseen.
_LAG_WINDOW_S = 15.0
Labels = tuple[str, ...]


class _Histogram:
    """One series of a histogram."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return upper bounds with cumulative counts, as Prometheus wants them."""
        bounds = [*map(str, self.bounds), "+Inf"]
        return list(zip(bounds, accumulate(self.counts), strict=True))


class _Histograms(dict[Labels, _Histogram]):
    """The series of a histogram by label values, made when first asked for."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self._bounds = metric.bounds

    def __missing__(self, labels: Labels) -> _Histogram:
        made = self[labels] = _Histogram(self._bounds)
        return made


class Metrics(Collector):
    """Every metric of `catalogue`, updated on the event loop.

    The series are plain numbers: with prometheus_client's own counters and histograms an exchange
    of three hooks costs several times as much, and every call pays for it.

    Args:
        registry: where Prometheus finds them.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._numbers: dict[str, defaultdict[Labels, float]] = {}
        self._histograms: dict[str, _Histograms] = {}
        for metric in catalogue.METRICS:
            if metric.type == "histogram":
                self._histograms[metric.name] = _Histograms(metric)
            else:
                self._numbers[metric.name] = defaultdict(float)
        numbers, histograms = self._numbers, self._histograms
        self._exchanges = numbers[catalogue.EXCHANGES.name]
        self._durations = histograms[catalogue.EXCHANGE_DURATION.name]
        self._overheads = histograms[catalogue.OVERHEAD.name]
        self._decisions = numbers[catalogue.PLUGIN_DECISIONS.name]
        self._errors = numbers[catalogue.PLUGIN_ERRORS.name]
        self._hooks = histograms[catalogue.PLUGIN_DURATION.name]
        self._violations = numbers[catalogue.VIOLATIONS.name]
        self._held = numbers[catalogue.HELD_BYTES.name]
        self._dropped = numbers[catalogue.DROPPED_FIELDS.name]
        self._overloads = numbers[catalogue.OVERLOADS.name]
        self._streams = numbers[catalogue.STREAMS_ACTIVE.name]
        self._plugins = numbers[catalogue.PLUGIN_INFO.name]
        self._lag = numbers[catalogue.LOOP_LAG.name]
        self._tokens = histograms[catalogue.TOKEN_USAGE.name]
        self._streams[()] = self._held[()] = self._lag[()] = 0
        numbers[catalogue.BUILD_INFO.name][(__version__,)] = 1
        registry.register(self)

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        """Count an exchange that ended."""
        route = exchange.route
        status_class = f"{outcome.status // 100}xx" if outcome.status else "none"
        self._exchanges[route, outcome.ending, status_class] += 1
        self._durations[(route,)].observe(outcome.duration_s)
        self._overheads[(route,)].observe(outcome.overhead_s)
        for step in outcome.steps:
            instance, hook = step.instance, step.hook
            applied = "true" if step.applied else "false"
            self._decisions[route, instance, hook, step.decision, applied] += 1
            self._hooks[instance, hook].observe(step.duration_s)
            if step.decision == "error":
                self._errors[route, instance, hook, step.reason] += 1
        answer = answer_of(exchange)
        if answer is not None:
            self._count_tokens(route, "input", answer.usage.input_tokens)
            self._count_tokens(route, "output", answer.usage.output_tokens)

    def violation(self, kind: str) -> None:
        """Count a message that broke the protocol or a limit."""
        self._violations[(kind,)] += 1

    def dropped(self, backend: str, fields: Sequence[str]) -> None:
        """Count fields that a backend's provider could not carry."""
        for label in {field_label(name) for name in fields}:
            self._dropped[backend, label] += 1

    def stream_opened(self) -> None:
        """Count a stream in."""
        self._streams[()] += 1

    def stream_closed(self) -> None:
        """Count a stream out."""
        self._streams[()] -= 1

    def held(self, held_bytes: int) -> None:
        """Say how many bytes of bodies the process holds."""
        self._held[()] = held_bytes

    def overload(self, limit: str, answer: str) -> None:
        """Count an exchange over a limit of the process."""
        self._overloads[limit, answer] += 1

    def plugin(self, instance: str, *, uses: str, distribution: str, version: str) -> None:
        """Say which plugin is behind an instance."""
        self._plugins[instance, uses, distribution, version] = 1

    def forget_plugins(self) -> None:
        """Take back what `plugin` said, before another config says anew."""
        self._plugins.clear()

    def config(self, generation: int, content_hash: str) -> None:
        """Say which config serves new exchanges."""
        self._numbers[catalogue.CONFIG_GENERATION.name][()] = generation
        info = self._numbers[catalogue.CONFIG_INFO.name]
        info.clear()
        info[(content_hash,)] = 1

    def reloaded(self, result: str) -> None:
        """Count an attempt to reload the config."""
        self._numbers[catalogue.CONFIG_RELOADS.name][(result,)] += 1
        is_good = result != "refused"
        self._numbers[catalogue.CONFIG_LAST_SUCCESSFUL.name][()] = is_good

    def envoy_generation(self, generation: int) -> None:
        """Say which generation last changed Envoy's part."""
        self._numbers[catalogue.CONFIG_ENVOY_GENERATION.name][()] = generation

    def envoy_updated(self, result: str) -> None:
        """Count a config that Envoy was handed."""
        self._numbers[catalogue.ENVOY_UPDATES.name][(result,)] += 1

    async def watch_loop(self, clock: Callable[[], float], every_s: float = 0.1) -> None:
        """Measure how late the event loop wakes, and show the worst of late, until cancelled."""
        woke_s = clock()
        worst_s, before_s, ends_s = 0.0, 0.0, woke_s + _LAG_WINDOW_S
        while True:
            due_s = woke_s + every_s
            await asyncio.sleep(every_s)
            woke_s = clock()
            if woke_s >= ends_s:
                worst_s, before_s, ends_s = 0.0, worst_s, woke_s + _LAG_WINDOW_S
            worst_s = max(worst_s, woke_s - due_s)
            self._lag[()] = max(worst_s, before_s)

    def collect(self) -> Iterator[Family]:
        """Give Prometheus every series."""
        for metric in catalogue.METRICS:
            name, text, labels = metric.name, metric.description, metric.labels
            # Copied: a scrape may run in another thread than the event loop.
            if metric.type == "histogram":
                family = HistogramMetricFamily(name, text, labels=labels)
                for values, series in list(self._histograms[name].items()):
                    family.add_metric(values, buckets=series.buckets(), sum_value=series.total)
                yield family
            else:
                numbers = _FAMILIES[metric.type](name, text, labels=labels)
                for values, number in list(self._numbers[name].items()):
                    numbers.add_metric(values, number)
                yield numbers

    def _count_tokens(self, route: str, kind: str, tokens: int | None) -> None:
        if tokens is not None and 0 <= tokens < _MAX_TOKENS:
            self._tokens[route, kind].observe(tokens)


def exposition(registry: CollectorRegistry) -> bytes:
    """Return every metric of a registry in Prometheus' text format."""
    return generate_latest(registry)
