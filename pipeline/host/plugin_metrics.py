"""The metrics that plugins' modules make as they are imported: none of ours, and none twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from pipeline.api.metrics import METRICS
from pipeline.observability import catalogue

# By name of a local module: what it made. It is executed again where no instance that runs has it.
_made: dict[str, list[Collector]] = {}


class _Ours(Collector):
    """Has the names of the host's metrics, so that no plugin can take one; shows nothing."""

    def describe(self) -> Iterator[Family]:
        """Give the registry the names."""
        # As histograms, whatever they are: so the names with `_bucket`, `_sum`, `_count` are taken.
        for name in sorted(catalogue.NAMES):
            yield Family(name, "", "histogram")
            if name.endswith("_total"):
                yield Family(name.removesuffix("_total"), "", "unknown")

    def collect(self) -> Iterator[Family]:
        """Show nothing: the host's own registry does."""
        yield from ()


METRICS.register(_Ours())


def collectors() -> list[Collector]:
    """Return the metrics that plugins have made so far."""
    # The registry's own `collect` ends with the first that fails, and tells of none apart.
    return [one for one in list(METRICS._collector_to_names) if not isinstance(one, _Ours)]  # noqa: SLF001


@contextmanager
def importing(local: str | None = None) -> Iterator[None]:
    """Import a module in the block: should it fail, what metrics it made are taken back.

    Args:
        local: the name of a local module; what it made when it was executed before is taken back
            first.

    Raises:
        ValueError: it makes a metric whose name is taken.
    """
    before = collectors()
    for one in _made.pop(local or "", ()):
        if one in before:
            METRICS.unregister(one)
            before.remove(one)
    try:
        yield
    except BaseException as error:
        for one in _since(before):
            METRICS.unregister(one)
        if isinstance(error, ValueError) and str(error).startswith("Duplicated timeseries"):
            message = f"a metric of that name is the host's or another plugin's: {error}"
            raise ValueError(message) from error
        raise
    if local is not None:
        _made[local] = _since(before)


def _since(before: list[Collector]) -> list[Collector]:
    return [one for one in collectors() if one not in before]
