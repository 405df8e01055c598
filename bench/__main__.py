"""`python -m bench`: what Dragoman costs, beside Envoy alone, the floor and other gateways."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from bench import cache_hits, cache_index, inference, peers, translation
from bench.effort import FULL, QUICK, Effort
from bench.host import Host
from bench.ladder import (
    FLOOR,
    FLOOR_BUSY,
    HOST_EMPTY,
    HOST_THREE,
    OUTPUT,
    comparisons,
    scenarios,
    worker_scenarios,
)
from bench.process import module, rss_bytes, running
from bench.report import Row, print_scenario, print_targets, scenario_rows, write_rows
from bench.rolling import restart_under_load
from bench.scenarios import Rounds, Scenario, Variant, interleave
from bench.stages import ladder_stage, workers_stage
from bench.startup import import_ms

_SERVERS = {FLOOR, HOST_EMPTY, HOST_THREE}


def measure(
    console: Console,
    variants: Sequence[Variant],
    wanted: Sequence[Scenario],
    load: subprocess.Popen[str],
    effort: Effort,
) -> tuple[list[Row], dict[str, Rounds]]:
    """Run scenarios, print their tables, and return all figures."""
    rows: list[Row] = []
    rounds: dict[str, Rounds] = {}
    for scenario in wanted:
        taking = [variant for variant in variants if _takes(variant, scenario)]
        turns = effort.size_rounds if scenario.key.startswith("ladder") else effort.rounds
        rounds[scenario.key] = interleave(scenario, taking, load, turns)
        found = scenario_rows(scenario, rounds[scenario.key])
        print_scenario(console, scenario, taking, found)
        rows += found
    return rows, rounds


def _takes(variant: Variant, scenario: Scenario) -> bool:
    # Envoy alone has no Python CPU and so no part in what is counted per event.
    if scenario.key.startswith("streamed"):
        return variant.key in _SERVERS
    return variant.key != FLOOR_BUSY or scenario.key.startswith("buffered")


def run(console: Console, folder: Path, effort: Effort, only: str, *, with_host: bool) -> list[Row]:
    """Measure every group that has a wanted scenario."""
    rungs = [scenario for scenario in scenarios(effort) if only in scenario.key]
    # Memory is judged after small bodies: a process keeps what one body of 6 MB made it take.
    small = [scenario for scenario in rungs if not scenario.key.startswith("ladder")]
    large = [scenario for scenario in rungs if scenario.key.startswith("ladder")]
    several = [scenario for scenario in worker_scenarios(effort) if only in scenario.key]
    translated = [scenario for scenario in translation.scenarios(effort) if only in scenario.key]
    rows: list[Row] = []
    rounds: dict[str, Rounds] = {}
    with ExitStack() as stack:
        load = stack.enter_context(running(module("bench.load"), folder / "load.log"))
        if rungs:
            with ladder_stage(folder / "ladder", with_host=with_host) as (variants, hosts):
                for group in (small, large):
                    found, sampled = measure(console, variants, group, load, effort)
                    rows += found
                    rounds |= sampled
                    if group is small:
                        rows += host_rows(hosts)
        if several and with_host:
            with workers_stage(folder / "workers") as variants:
                rows += measure(console, variants, several, load, effort)[0]
        if translated and with_host:
            with translation.translation_stage(folder / translation.NAME) as variants:
                found, sampled = measure(console, variants, translated, load, effort)
            rows += [*found, *translation.comparisons(sampled), *translation.cpu_rows(effort)]
    rows += comparisons(rounds)
    if only in "rolling" and with_host:
        rows += rolling_rows(effort.restart_requests)
    if only in cache_hits.NAME and with_host:
        rows += cache_hits.rows(effort)
    if only in cache_index.NAME:
        rows += cache_index.rows(effort)
    if only in inference.NAME:
        rows += inference.rows(console, effort)
    rows.append(Row("import_pipeline_api", import_ms("pipeline.api", effort.starts), "ms", 150))
    return rows


def host_rows(hosts: Sequence[Host]) -> list[Row]:
    """Return how long the hosts took to be ready, and what one holds after the load."""
    if not hosts:
        return []
    largest_bytes = max(rss_bytes(each.pid) for each in hosts)
    return [
        Row("serve_ready", max(each.ready_s for each in hosts), "s", 1.5),
        Row("worker_rss_after_load", largest_bytes / 1e6, "MB", 90),
    ]


def rolling_rows(requests: int) -> list[Row]:
    """Restart two hosts behind one Envoy under load, and return what became of the requests."""
    result = asyncio.run(restart_under_load(requests))
    return [
        Row("rolling.requests", result.requests, "requests", requests, at_least=True),
        Row("rolling.failed", len(result.failed), "requests", 0),
        Row("rolling.seconds", result.seconds, "s"),
    ]


def main() -> None:
    """Measure, print, write `build/bench.json`, or `build/peers.json` for other gateways."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under two minutes, no sound figures")
    parser.add_argument("--floor-only", action="store_true", help="leave the host out")
    parser.add_argument(
        "--only", default="", help="scenarios whose name has this in it; `peers`: other gateways"
    )
    arguments = parser.parse_args()
    effort = QUICK if arguments.quick else FULL
    console = Console(width=None if sys.stdout.isatty() else 160)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        if arguments.only == peers.NAME:
            output, rows = peers.OUTPUT, peers.run(console, folder, effort)
        else:
            with_host = not arguments.floor_only
            output = OUTPUT
            rows = run(console, folder, effort, arguments.only, with_host=with_host)
    print_targets(console, [row for row in rows if row.target is not None or _compares(row)])
    write_rows(output, rows)
    console.print(f"{len(rows)} rows in {output}")


def _compares(row: Row) -> bool:
    return any(word in row.name for word in ("over_", "delay", "added"))


if __name__ == "__main__":
    main()
