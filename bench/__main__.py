"""`python -m bench`: what Dragoman costs, beside Envoy alone and beside the floor."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from bench.envoy import envoy
from bench.host import EMPTY, THREE, Host, host
from bench.load import Job
from bench.measure import difference, ratio
from bench.process import line, module, rss_bytes, running
from bench.report import Row, print_scenario, print_targets, scenario_rows, write_rows
from bench.scenarios import Rounds, Scenario, Variant, interleave
from bench.startup import import_ms

OUTPUT = Path("build/bench.json")
EVENTS, PACE_MS = 200, 5
ALONE, FLOOR, HOST_EMPTY, HOST_THREE = "envoy_alone", "floor", "host_empty", "host_three"
FLOOR_BUSY, BUSY_US = "floor_busy", 25
SERVERS = {FLOOR, FLOOR_BUSY, HOST_EMPTY, HOST_THREE}


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure.

    Args:
        rounds: turns over all variants.
        seconds: of load in one turn of a scenario, before the last answers.
        starts: processes started to time a start.
    """

    rounds: int
    seconds: float
    starts: int


FULL = Effort(rounds=6, seconds=1.5, starts=10)
QUICK = Effort(rounds=3, seconds=0.4, starts=5)


def scenarios(effort: Effort) -> list[Scenario]:
    """Return the loads, in the order in which they are run."""
    seconds = effort.seconds
    latency = ("python_us", "envoy_us", "per_s", "p50_ms", "p99_ms")
    buffered = [
        Scenario(
            f"buffered_{n}",
            f"2 KB request, headers and BUFFERED body, {n} connection(s): per request",
            Job(port=0, connections=n, seconds=seconds),
            latency,
        )
        for n in (16, 1)
    ]
    streamed = [
        Scenario(
            f"streamed_{n}",
            f"SSE answer, STREAMED, {n} streams, an event every {PACE_MS} ms: per event",
            Job(port=0, connections=n, seconds=seconds / 2, events=EVENTS, pace_ms=PACE_MS),
            ("python_us", "envoy_us", "per_s"),
        )
        for n in (10, 40)
    ]
    first = Scenario(
        "first_event",
        "SSE answer, STREAMED, one stream: from the request to the first event",
        Job(port=0, connections=1, seconds=seconds, events=5, pace_ms=1),
        ("first_ms",),
    )
    return [*buffered, *streamed, first]


def comparisons(rounds: dict[str, Rounds]) -> list[Row]:
    """Return what each variant costs beside the floor and beside Envoy alone."""
    rows = []
    targets = {
        ("buffered_16", FLOOR_BUSY): None,
        ("buffered_16", HOST_EMPTY): 1.25,
        ("buffered_16", HOST_THREE): 1.5,
        ("streamed_10", HOST_THREE): 1.3,
        ("streamed_40", HOST_THREE): 1.3,
    }
    for (scenario, variant), target in targets.items():
        if variant in rounds.get(scenario, {}):
            estimate = ratio(*_columns(rounds[scenario], "python_us", variant, FLOOR))
            name = f"{scenario}.{variant}.python_us.over_floor"
            rows.append(Row(name, estimate.value, "ratio", target, estimate))
    for variant, goal in ((FLOOR, None), (HOST_EMPTY, None), (HOST_THREE, 2.0)):
        if variant in rounds.get("first_event", {}):
            estimate = difference(*_columns(rounds["first_event"], "first_ms", variant, ALONE))
            name = f"first_event.{variant}.delay"
            rows.append(Row(name, estimate.value, "ms", goal, estimate))
    return rows


def _columns(rounds: Rounds, metric: str, *variants: str) -> tuple[list[float], list[float]]:
    first, second = ([sample[metric] for sample in rounds[key]] for key in variants)
    return first, second


@contextmanager
def stage(folder: Path, *, with_host: bool) -> Iterator[tuple[list[Variant], list[Host]]]:
    """Start the upstream and every variant; all stand idle but the one under load."""
    with ExitStack() as stack:

        def room(key: str) -> Path:
            (folder / key).mkdir()
            return folder / key

        upstream = stack.enter_context(running(module("bench.upstream"), folder / "upstream.log"))
        port = int(line(upstream))
        alone = stack.enter_context(envoy(room(ALONE), port, None))
        variants = [Variant(ALONE, "Envoy alone", alone, None)]

        def add(key: str, title: str, path: str, pid: int) -> None:
            behind = stack.enter_context(envoy(folder / key, port, path))
            variants.append(Variant(key, title, behind, pid))

        for key, title, busy_us in (
            (FLOOR, "floor: bare grpc.aio echo", 0),
            (FLOOR_BUSY, f"floor that spins {BUSY_US} µs a message", BUSY_US),
        ):
            path = str(room(key) / "floor.sock")
            command = module("bench.floor", path, str(busy_us))
            floor = stack.enter_context(running(command, folder / key / "floor.log"))
            line(floor)
            add(key, title, path, floor.pid)
        hosts = []
        if with_host:
            for key, title, chains in (
                (HOST_EMPTY, "host, empty chain", EMPTY),
                (HOST_THREE, "host, three trivial plugins", THREE),
            ):
                hosts.append(stack.enter_context(host(room(key), chains)))
                add(key, title, hosts[-1].socket, hosts[-1].pid)
        yield variants, hosts


def host_rows(hosts: Sequence[Host]) -> list[Row]:
    """Return how long the hosts took to be ready, and what one holds after the load."""
    if not hosts:
        return []
    largest_bytes = max(rss_bytes(each.pid) for each in hosts)
    return [
        Row("serve_ready", max(each.ready_s for each in hosts), "s", 1.5),
        Row("worker_rss_after_load", largest_bytes / 1e6, "MB", 90),
    ]


def run(
    console: Console,
    variants: Sequence[Variant],
    load: subprocess.Popen[str],
    effort: Effort,
    only: str,
) -> list[Row]:
    """Run every scenario, print its table, and return all figures."""
    rows: list[Row] = []
    rounds: dict[str, Rounds] = {}
    for scenario in scenarios(effort):
        if only not in scenario.key:
            continue
        # Envoy alone has no Python CPU and so no part in what is counted per event.
        taking = [v for v in variants if v.key in SERVERS or "streamed" not in scenario.key]
        if "buffered" not in scenario.key:
            taking = [v for v in taking if v.key != FLOOR_BUSY]
        rounds[scenario.key] = interleave(scenario, taking, load, effort.rounds)
        found = scenario_rows(scenario, rounds[scenario.key])
        print_scenario(console, scenario, taking, found)
        rows += found
    return rows + comparisons(rounds)


def main() -> None:
    """Measure, print, write `build/bench.json`."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute, wider intervals")
    parser.add_argument("--floor-only", action="store_true", help="leave the host out")
    parser.add_argument("--only", default="", help="scenarios whose name has this in it")
    arguments = parser.parse_args()
    effort = QUICK if arguments.quick else FULL
    console = Console(width=None if sys.stdout.isatty() else 120)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        folder = Path(name)
        load = stack.enter_context(running(module("bench.load"), folder / "load.log"))
        with_host = not arguments.floor_only
        variants, hosts = stack.enter_context(stage(folder, with_host=with_host))
        rows = run(console, variants, load, effort, arguments.only)
        rows += host_rows(hosts)
    rows.append(Row("import_pipeline_api", import_ms("pipeline.api", effort.starts), "ms", 150))
    print_targets(
        console,
        [
            row
            for row in rows
            if row.target is not None or "over" in row.name or "delay" in row.name
        ],
    )
    write_rows(OUTPUT, rows)
    console.print(f"{len(rows)} rows in {OUTPUT}")


if __name__ == "__main__":
    main()
