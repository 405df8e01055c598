"""The reference page of metrics: the host's, and those of built-in plugins."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Iterator

from prometheus_client.metrics import MetricWrapperBase

from pipeline.cli.tables import table
from pipeline.host.loading import find, installed
from pipeline.host.plugin_metrics import collectors
from pipeline.observability.catalogue import METRICS, SUPERVISOR_METRICS
from pipeline.server.models.metrics import ENGINE_METRICS, MODEL_METRICS

Row = tuple[str, str, str, str]
_HEAD = ("Metric", "Type", "Labels", "Meaning")


def metrics_page() -> list[str]:
    """Return the lines of the page."""
    ours = [
        _row(metric.name, metric.type, metric.labels, metric.description)
        for metric in (*METRICS, *SUPERVISOR_METRICS, *ENGINE_METRICS, *MODEL_METRICS)
    ]
    lines = [
        "Served at `/metrics` of `server.admin`. No label's value ever comes from a client.",
        "",
        *table(_HEAD, ours),
    ]
    for name, entries in sorted(installed().items()):
        if any(entry.dist is not None and entry.dist.name == "dragoman" for entry in entries):
            rows = list(plugin_rows(find(name, None).plugin.__module__))
            if rows:
                lines += ["", f"## Of the plugin `{name}`", "", *table(_HEAD, rows)]
    return lines


def plugin_rows(module: str) -> Iterator[Row]:
    """Return the metrics that a plugin makes in its module, its package, or a `metrics` beside it.

    Args:
        module: of the plugin's class.
    """
    package = module if _is_package(module) else module.rpartition(".")[0]
    beside = f"{package}.metrics"
    modules = [module, package, *([beside] if importlib.util.find_spec(beside) else [])]
    shown = [id(v) for name in modules for v in vars(importlib.import_module(name)).values()]
    for collector in collectors():
        if isinstance(collector, MetricWrapperBase) and id(collector) in shown:
            (family,) = collector.describe()
            name = f"{family.name}_total" if family.type == "counter" else family.name
            # The library has no other way to tell them of a metric without series.
            yield _row(name, family.type, collector._labelnames, family.documentation)  # noqa: SLF001


def _is_package(module: str) -> bool:
    return hasattr(importlib.import_module(module), "__path__")


def _row(name: str, kind: str, labels: Iterable[str], description: str) -> Row:
    return f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels) or "none", description
