"""`python -m bench.page`: writes measured tables and plots into the page on measurements.

A table stands between `<!-- NAME -->` and `<!-- end -->`; no figure in it is typed by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench import cache_hits, cache_index, inference, ladder, peers, plots, soak
from bench.ladder import FLOOR_BUSY, SIZES
from bench.peer_installs import LITELLM_VERSION, PORTKEY_VERSION
from bench.plots import GATEWAYS, RUNGS, Rows
from bench.report import Row, figure, number, read_rows
from bench.stages import WORKERS

PAGE = Path("docs/explanation/measurements.md")
PLOTS = Path("docs/explanation/plots")
_REGION = re.compile(r"(<!-- (?P<name>[a-z0-9-]+) -->\n)(?:.*?\n)??(<!-- end -->)", re.DOTALL)
_ALL = {**RUNGS, FLOOR_BUSY: "the floor, spinning"}
_SIZE_TITLES = {name: name.replace("kb", " KB").replace("mb", " MB") for name in SIZES}
_CPU = {"python_us": "Python CPU, µs", "envoy_us": "Envoy CPU, µs", "per_s": "per second"}
_LATENCY = {"p50_ms": "p50, ms", "p99_ms": "p99, ms"}
_CORES = {
    "python_cores": "cores, Python",
    "envoy_cores": "cores, Envoy",
    "machine_cores": "cores, all",
}


_GOALS = {
    "serve_ready": "`dragoman serve` until ready",
    "worker_rss_after_load": "memory of a worker after the load",
    "import_pipeline_api": "`import pipeline.api`",
    "buffered_16.host_empty.python_us.over_floor": "CPU a request, empty chain to floor",
    "buffered_16.host_three.python_us.over_floor": "CPU a request, three plugins to floor",
    "streamed_10.host_three.python_us.over_floor": "CPU an event, the same, 10 streams",
    "streamed_40.host_three.python_us.over_floor": "CPU an event, the same, 40 streams",
    "first_event.host_three.delay": "first event later, three plugins",
    "open_200.host_empty.added_p50_ms": "added p50 at 200 requests/s, empty chain",
    "open_200.host_three.added_p50_ms": "added p50 at 200 requests/s, three plugins",
    "open_200.host_empty.added_p99_ms": "added p99 at 200 requests/s, empty chain",
    "open_200.host_three.added_p99_ms": "added p99 at 200 requests/s, three plugins",
    "peers_16.dragoman.per_cpu_s.over_litellm": "requests per CPU second, to LiteLLM's",
    "peers_16.dragoman.per_s.over_litellm": "requests per second, to LiteLLM's",
    "peers_16.dragoman.per_cpu_s.over_portkey": "requests per CPU second, to Portkey's",
    "peers_16.dragoman.per_s.over_portkey": "requests per second, to Portkey's",
    "peers_16.dragoman.per_cpu_s.over_portkey_2": "requests per CPU second, to two of Portkey's",
    "peers_16.dragoman.per_s.over_portkey_2": "requests per second, to two of Portkey's",
    "rolling.requests": "requests answered",
    "rolling.failed": "failed",
    "rolling.seconds": "time",
    "soak.host.rss_slope": "slope of the host's memory",
    "soak.envoy.rss_slope": "slope of Envoy's memory",
    "soak.open_files": "open files at the end",
    "soak.open_files.growth": "more of them, last quarter to first",
    "soak.threads": "threads at the end",
    "soak.threads.growth": "more of them, last quarter to first",
    "soak.tasks": "asyncio tasks at the end",
    "soak.tasks.growth": "more of them, last quarter to first",
    "soak.requests": "requests",
    "soak.cancelled": "given up by the client",
    "soak.failed": "failed",
    "soak.rate": "rate",
    "soak.rss": "memory of the host at the end",
} | {**inference.TITLES, **cache_hits.TITLES}


class NotMeasured(LookupError):
    """Raised when a table of the page wants what was not measured."""


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    rule = ["---"] * len(headings)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [headings, rule, *lines])


def scenario_table(
    rows: Rows, scenario: str, variants: Mapping[str, str], metrics: Mapping[str, str]
) -> str:
    """Return a table of a scenario: a line per variant, a column per metric."""
    lines = []
    for key, title in variants.items():
        cells = [figure(rows.get(f"{scenario}.{key}.{metric}")) for metric in metrics]
        if any(cells):
            lines.append([title, *cells])
    if not lines:
        raise NotMeasured(f"no scenario {scenario}")
    return markdown(["", *metrics.values()], lines)


def size_table(rows: Rows, kind: str, metric: str) -> str:
    """Return a table of one metric: a line per rung, a column per body size."""
    lines = [
        [
            title,
            *(figure(rows.get(f"ladder_{size}_{kind}.{key}.{metric}")) for size in SIZES),
        ]
        for key, title in RUNGS.items()
    ]
    lines = [line for line in lines if any(line[1:])]
    if not lines:
        raise NotMeasured(f"no ladder of {kind}")
    return markdown(["", *_SIZE_TITLES.values()], lines)


def goal_table(rows: Rows, prefixes: Sequence[str]) -> str:
    """Return a table of the figures with a goal: measured, goal, and whether it holds."""
    chosen = [
        row
        for row in rows.values()
        if row.target is not None and row.name.startswith(tuple(prefixes))
    ]
    if not chosen:
        raise NotMeasured(f"no goals of {', '.join(prefixes)}")
    lines = [[_title(row), figure(row), row.unit, row.goal, verdict(row)] for row in chosen]
    return markdown(["", "measured", "unit", "goal", "holds"], lines)


def verdict(row: Row) -> str:
    """Return whether a goal is met, in a word, and whether the interval leaves that open."""
    word = "yes" if row.holds else "**no**"
    return word if row.certain else f"{word}, within noise"


def peer_table(rows: Rows) -> str:
    """Return the table of gateways: work done, latency added, memory and start."""
    columns = {
        "peers_16.{}.per_s": "requests/s",
        "peers_16.{}.per_cpu_s": "per CPU second",
        "peers_16.{}.cpu_us": "CPU, µs",
        "peers_open.{}.added_p50_ms": "added p50, ms",
        "peers_open.{}.added_p99_ms": "added p99, ms",
        "peers.{}.rss": "memory, MB",
        "peers.{}.start": "start, s",
    }
    lines = [
        [title, *(figure(_wanted(rows, name.format(key))) for name in columns)]
        for key, title in GATEWAYS.items()
    ]
    return markdown(["", *columns.values()], lines)


def group_table(rows: Rows, prefix: str) -> str:
    """Return all figures of a group, those without a goal too."""
    lines = [
        [_title(row), figure(row), row.unit, row.goal, verdict(row) if row.goal else ""]
        for row in rows.values()
        if row.name.startswith(prefix)
    ]
    if not lines:
        raise NotMeasured(f"no {prefix}")
    return markdown(["", "measured", "unit", "goal", "holds"], lines)


def tables(rows: Rows) -> dict[str, Callable[[], str]]:
    """Return what the page may ask for, by name."""
    workers = {"envoy_alone": "Envoy alone, two threads"}
    workers |= {f"workers_{n}": f"three plugins, {n} worker(s)" for n in WORKERS}
    small = ["buffered", "streamed", "first", "open", "serve", "worker_rss", "import"]
    return {
        "goals": lambda: goal_table(rows, small),
        "buffered-16": lambda: scenario_table(rows, "buffered_16", _ALL, _CPU | _LATENCY),
        "buffered-1": lambda: scenario_table(rows, "buffered_1", _ALL, _CPU | _LATENCY),
        "saturation": lambda: scenario_table(rows, "buffered_16", _ALL, _CORES),
        "open": lambda: scenario_table(rows, "open_200", RUNGS, _LATENCY | {"late_ms": "late, ms"}),
        "streamed-10": lambda: scenario_table(rows, "streamed_10", RUNGS, _CPU),
        "streamed-40": lambda: scenario_table(rows, "streamed_40", RUNGS, _CPU),
        "sizes-16-python": lambda: size_table(rows, "16", "python_us"),
        "sizes-16-envoy": lambda: size_table(rows, "16", "envoy_us"),
        "sizes-16-rate": lambda: size_table(rows, "16", "per_s"),
        "sizes-1-p50": lambda: size_table(rows, "1", "p50_ms"),
        "sizes-answered-python": lambda: size_table(rows, "answered", "python_us"),
        "sizes-streamed-python": lambda: size_table(rows, "streamed", "python_us"),
        "sizes-streamed-first": lambda: size_table(rows, "streamed", "first_ms"),
        "workers-16": lambda: scenario_table(rows, "workers_16", workers, _CPU | _LATENCY | _CORES),
        "workers-streamed": lambda: scenario_table(
            rows, "workers_streamed_40", workers, _CPU | _CORES
        ),
        "peers": lambda: peer_table(rows),
        "peer-goals": lambda: goal_table(rows, ["peers"]),
        "peer-versions": lambda: f"LiteLLM {LITELLM_VERSION}, Portkey {PORTKEY_VERSION}.\n",
        "soak": lambda: group_table(rows, "soak."),
        "rolling": lambda: group_table(rows, "rolling."),
        "inference": lambda: group_table(rows, f"{inference.NAME}."),
        "cache-hits": lambda: group_table(rows, f"{cache_hits.NAME}."),
        "cache-index": lambda: group_table(rows, f"{cache_index.NAME}."),
    }


def fill(page: str, made: Mapping[str, Callable[[], str]]) -> tuple[str, list[str]]:
    """Return the page with its tables, and why some were left as they are."""
    left = []

    def replace(match: re.Match[str]) -> str:
        try:
            return f"{match[1]}{made[match['name']]()}{match[3]}"
        except NotMeasured as error:
            left.append(f"{match['name']}: {error}")
            return match[0]

    return _REGION.sub(replace, page), left


def _title(row: Row) -> str:
    return _GOALS.get(row.name, f"`{row.name}`")


def _wanted(rows: Rows, name: str) -> Row:
    if name not in rows:
        raise NotMeasured(f"no {name}")
    return rows[name]


def main() -> None:
    """Fill the page and draw the plots from what was measured; what was not is left alone."""
    rows: dict[str, Row] = {}
    for path in (ladder.OUTPUT, peers.OUTPUT, soak.OUTPUT):
        if path.exists():
            rows |= {row.name: row for row in read_rows(path)}
    text, left = fill(PAGE.read_text(), tables(rows))
    PAGE.write_text(text)
    drawn = {"latency": plots.draw_latency, "cpu": plots.draw_cpu, "peers": plots.draw_peers}
    PLOTS.mkdir(exist_ok=True)
    for name, draw in drawn.items():
        try:
            (PLOTS / f"{name}.svg").write_text(draw(rows))
        except ValueError:
            left.append(f"{name}.svg: not measured")
    if soak.SAMPLES.exists():
        samples = soak.read_samples(soak.SAMPLES)
        (PLOTS / "soak.svg").write_text(plots.draw_soak(samples))
    for reason in left:
        print(f"left as it is: {reason}")
    print(f"{number(len(rows))} figures in {PAGE} and {PLOTS}")


if __name__ == "__main__":
    main()
