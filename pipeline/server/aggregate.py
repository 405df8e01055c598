"""The metrics of several workers as those of one host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from pipeline.observability import catalogue

WORKER = "worker"
"""The label that tells the gauges of workers apart."""

_SUMMED = {"counter", "histogram", "summary"}
Labels = tuple[tuple[str, str], ...]
Numbers = dict[tuple[str, Labels], float]


class _Family:
    """One metric family: what is known of it, and its samples in the order they came in."""

    def __init__(self, known: Metric) -> None:
        self.name, self.text, self.type = known.name, known.documentation, known.type
        self.numbers: Numbers = {}


Families = dict[str, _Family]


class Aggregate(Collector):
    """Adds up what workers count.

    Counters and histograms are sums, over workers that ended too, so they never fall. A gauge has
    the label `worker`; one that only informs (`…_info`) is the same for all and stands once.
    """

    def __init__(self) -> None:
        self._latest: dict[str, tuple[int, Families]] = {}
        self._ended: Families = {}
        self._own: Families = {}

    def take(self, worker: str, pid: int, text: str) -> None:
        """Take what a worker exposes now, in place of what it exposed before.

        Args:
            worker: its name.
            pid: its process; another one than before began to count at zero.
            text: Prometheus' text format.
        """
        before = self._latest.get(worker)
        if before is not None and before[0] != pid:
            self.lose(worker)
        families: Families = {}
        for metric in text_string_to_metric_families(text):
            family = families[metric.name] = _Family(metric)
            for sample in metric.samples:
                family.numbers[sample.name, tuple(sample.labels.items())] = sample.value
        self._latest[worker] = pid, families

    def lose(self, worker: str) -> None:
        """Note that a worker's process ended: its counts stay, its gauges go."""
        _, families = self._latest.pop(worker, (0, {}))
        _add(self._ended, (f for f in families.values() if f.type in _SUMMED), None)

    def count(self, metric: catalogue.Metric, **labels: str) -> None:
        """Count once what no worker can count itself."""
        name = metric.name.removesuffix("_total")
        family = self._ended.setdefault(name, _Family(Metric(name, metric.description, "counter")))
        key = metric.name, tuple(labels.items())
        family.numbers[key] = family.numbers.get(key, 0.0) + 1

    def set(self, metric: catalogue.Metric, value: float) -> None:
        """Say the value of a gauge that no worker has."""
        family = _Family(Metric(metric.name, metric.description, "gauge"))
        family.numbers[metric.name, ()] = value
        self._own[metric.name] = family

    def collect(self) -> Iterator[Metric]:
        """Give Prometheus every series."""
        total: Families = {}
        for worker, (_, families) in sorted(self._latest.items()):
            _add(total, families.values(), worker)
        _add(total, self._ended.values(), None)
        for family in ({**total, **self._own}).values():
            metric = Metric(family.name, family.text, family.type)
            for (name, labels), value in family.numbers.items():
                metric.add_sample(name, dict(labels), value)
            yield metric

    def exposition(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)


def _add(to: Families, families: Iterable[_Family], worker: str | None) -> None:
    for family in families:
        known = to.get(family.name)
        if known is None:
            known = to[family.name] = _Family(Metric(family.name, family.text, family.type))
        numbers = known.numbers
        if family.type in _SUMMED:
            for key, value in family.numbers.items():
                numbers[key] = numbers.get(key, 0.0) + value
        elif family.name.endswith("_info"):
            numbers.update(family.numbers)
        else:
            label = (WORKER, str(worker))
            for (name, labels), value in family.numbers.items():
                numbers[name, (*labels, label)] = value
