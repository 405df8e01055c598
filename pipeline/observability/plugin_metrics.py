"""What plugins count, beside what the host counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from pipeline.observability.logs import get_logger


class PluginMetrics(Collector):
    """Shows plugins' metrics in a registry of the host's.

    One that fails is left out, as is a family that is shown already: the host's own are to be had
    whatever plugins do.

    Args:
        collectors: returns those there are now.
        taken: names of the host's families, with `_total` where they count.
    """

    def __init__(
        self, collectors: Callable[[], Sequence[Collector]], taken: Iterable[str] = ()
    ) -> None:
        self._collectors = collectors
        self._taken = frozenset(name.removesuffix("_total") for name in taken)
        self._failed: set[str] = set()

    def collect(self) -> Iterator[Family]:
        """Give Prometheus every series."""
        shown = set(self._taken)
        for collector in self._collectors():
            for family in self._families(collector):
                if family.name not in shown:
                    shown.add(family.name)
                    yield _without_birthdays(family)

    def _families(self, collector: Collector) -> list[Family]:
        try:
            return list(collector.collect())
        except Exception as error:  # noqa: BLE001 - a stranger's code
            kind = type(error).__name__
            is_plain = isinstance(collector, MetricWrapperBase)
            metric = str(collector) if is_plain else type(collector).__name__
            if metric not in self._failed:  # once: it fails with every scrape
                self._failed.add(metric)
                get_logger().warning("a plugin's metric failed", metric=metric, kind=kind)
            return []


def _without_birthdays(family: Family) -> Family:
    # `…_created` would be a gauge for each series, and of workers no sum.
    plain = Family(family.name, family.documentation, family.type, family.unit)
    created = f"{family.name}_created"
    plain.samples = [sample for sample in family.samples if sample.name != created]
    return plain
