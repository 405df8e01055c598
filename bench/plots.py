"""The plots: which figures are drawn, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from bench import svg
from bench.ladder import ALONE, FLOOR, HOST_EMPTY, HOST_THREE, SIZES
from bench.peers import LITELLM, OURS, OURS_THREE, PORTKEY, PORTKEY_2
from bench.report import Row

if TYPE_CHECKING:
    from bench.soak import Sample

RUNGS = {
    ALONE: "Envoy alone",
    FLOOR: "the floor",
    HOST_EMPTY: "host, empty chain",
    HOST_THREE: "host, three plugins",
}
GATEWAYS = {
    OURS: "Dragoman and Envoy",
    OURS_THREE: "with three plugins",
    LITELLM: "LiteLLM",
    PORTKEY: "Portkey, one process",
    PORTKEY_2: "Portkey, two processes",
}
Rows = Mapping[str, Row]


def draw_latency(rows: Rows) -> str:
    """Draw what each rung adds to an open loop's latency."""
    groups = [
        (title, [_bar(rows, f"open_200.{key}.added_{metric}") for metric in ("p50_ms", "p99_ms")])
        for key, title in RUNGS.items()
        if key != ALONE
    ]
    title = "Latency added to Envoy alone, open loop at 200 requests/s, 6 KB"
    return svg.bars(title, "ms", ["p50", "p99"], groups)


def draw_cpu(rows: Rows) -> str:
    """Draw the CPU per request, Envoy's and Python's together, by body size."""
    groups = []
    for size in SIZES:
        bars = []
        for key in RUNGS:
            found = [
                bar
                for metric in ("envoy_us", "python_us")
                if (bar := _bar(rows, f"ladder_{size}_16.{key}.{metric}")) is not None
            ]
            # Both parts' intervals one after the other: wider than the sum's own.
            sums = [sum(getattr(bar, end) for bar in found) / 1000 for end in svg.Bar.__slots__]
            bars.append(svg.Bar(*sums) if found else None)
        groups.append((size.replace("kb", " KB").replace("mb", " MB"), bars))
    title = "CPU per request by body size, Envoy and Python, 16 connections"
    return svg.bars(title, "ms", list(RUNGS.values()), groups, logarithmic=True)


def draw_peers(rows: Rows) -> str:
    """Draw requests per second and per CPU second of every gateway."""
    groups = [
        (title, [_bar(rows, f"peers_16.{key}.{metric}") for metric in ("per_s", "per_cpu_s")])
        for key, title in GATEWAYS.items()
    ]
    title = "A call of 2 KB forwarded, 16 connections, two cores"
    return svg.bars(title, "requests", ["per second", "per CPU second"], groups)


def draw_soak(samples: Sequence[Sample]) -> str:
    """Draw the host's memory over the requests of a soak."""
    points = [(float(sample.requests), sample.rss_bytes / 1e6) for sample in samples]
    return svg.line("Resident memory of the host over a soak", "requests", "MB", points)


def _bar(rows: Rows, name: str) -> svg.Bar | None:
    row = rows.get(name)
    if row is None or row.estimate is None:
        return None
    return svg.Bar(row.estimate.value, row.estimate.low, row.estimate.high)
