"""`python -m bench.soak`: whether memory, files, threads and tasks stay flat, cancels included."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from rich.console import Console

from bench.envoy import envoy
from bench.host import THREE, host
from bench.measure import slope
from bench.process import line, module, open_files, rss_bytes, running, threads
from bench.report import Row, number, print_targets, write_rows
from bench.stages import start_upstream

OUTPUT, SAMPLES = Path("build/soak.json"), Path("build/soak-samples.json")
REQUESTS, SAMPLE_COUNT = 1_000_000, 200
# What a process takes until it has seen everything once is no leak.
WARM_SHARE = 0.2
GOAL_BYTES = 10.0
_CENSUS_S = 5.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What there was after so many requests, between two batches.

    Args:
        requests: made so far.
        rss_bytes: resident memory of the host.
        envoy_rss_bytes: resident memory of Envoy.
        open_files: file descriptors of the host.
        threads: of the host.
        tasks: asyncio's, of the host.
    """

    requests: int
    rss_bytes: int
    envoy_rss_bytes: int
    open_files: int
    threads: int
    tasks: int


def judge(samples: Sequence[Sample], endings: Counter[str], seconds: float) -> list[Row]:
    """Return what a soak came to; the samples of its first fifth only warm up."""
    warm = [s for s in samples if s.requests > WARM_SHARE * samples[-1].requests]
    xs = [float(s.requests) for s in warm]
    rows = []
    for name, ys, goal in (
        ("host", [float(s.rss_bytes) for s in warm], GOAL_BYTES),
        ("envoy", [float(s.envoy_rss_bytes) for s in warm], None),
    ):
        found = slope(xs, ys)
        rows.append(Row(f"soak.{name}.rss_slope", found.value, "B/request", goal, found))
    quarter = max(1, len(warm) // 4)
    for field in ("open_files", "threads", "tasks"):
        values = [float(getattr(s, field)) for s in warm]
        rows.append(Row(f"soak.{field}", values[-1], "count"))
        grown = median(values[-quarter:]) - median(values[:quarter])
        rows.append(Row(f"soak.{field}.growth", grown, "count", 0))
    failed = sum(count for ending, count in endings.items() if ending.startswith("failed"))
    total = samples[-1].requests
    return [
        *rows,
        Row("soak.requests", total, "requests"),
        Row("soak.cancelled", endings["cancelled"] / total * 100, "%"),
        Row("soak.failed", failed, "requests", 0),
        Row("soak.rate", total / seconds, "1/s"),
        Row("soak.rss", warm[-1].rss_bytes / 1e6, "MB"),
    ]


def soak(requests: int, folder: Path, console: Console) -> tuple[list[Sample], list[Row]]:
    """Make the requests in batches, take a sample after each, and judge them."""
    census = folder / "census.json"
    chains = {
        "buffered": ["census", *THREE["buffered"][1:]],
        "streamed": THREE["streamed"],
    }
    with ExitStack() as stack:
        port = start_upstream(stack, folder)
        options = {"census": {"file": str(census)}}
        served = stack.enter_context(host(folder, chains, options=options))
        front = stack.enter_context(envoy(folder, port, served.sockets))
        ports = (str(front.ports[mode]) for mode in ("buffered", "streamed"))
        command = module("bench.soak_load", *ports)
        load = stack.enter_context(running(command, folder / "soak_load.log"))
        assert load.stdin is not None
        samples: list[Sample] = []
        endings: Counter[str] = Counter()
        batch = max(1, requests // SAMPLE_COUNT)
        start_s = time.perf_counter()
        while (done := endings.total()) < requests:
            load.stdin.write(f"{min(batch, requests - done)}\n")
            endings.update(json.loads(line(load)))
            samples.append(
                Sample(
                    endings.total(),
                    rss_bytes(served.pid),
                    rss_bytes(front.pid),
                    open_files(served.pid),
                    threads(served.pid),
                    _tasks(served.pid, census),
                )
            )
            if len(samples) % 20 == 0:
                rss = number(samples[-1].rss_bytes / 1e6)
                console.print(f"{samples[-1].requests:,} requests, host {rss} MB, {dict(endings)}")
        seconds = time.perf_counter() - start_s
    return samples, judge(samples, endings, seconds)


def _tasks(pid: int, census: Path) -> int:
    census.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    deadline_s = time.monotonic() + _CENSUS_S
    while time.monotonic() < deadline_s:
        if census.exists():
            return int(json.loads(census.read_text())["tasks"])
        time.sleep(0.005)
    raise RuntimeError("the host did not count its tasks")


def read_samples(path: Path) -> list[Sample]:
    """Read the samples of a soak."""
    return [Sample(**entry) for entry in json.loads(path.read_text())]


def main() -> None:
    """Soak, print, and write `build/soak.json` and `build/soak-samples.json`."""
    from bench.plots import draw_soak

    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 120)
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        samples, rows = soak(arguments.requests, Path(name), console)
    print_targets(console, rows)
    write_rows(OUTPUT, rows)
    SAMPLES.write_text(json.dumps([asdict(sample) for sample in samples]) + "\n")
    plot = OUTPUT.with_suffix(".svg")
    plot.write_text(draw_soak(samples))
    console.print(f"{len(rows)} rows in {OUTPUT}, plot in {plot}")


if __name__ == "__main__":
    main()
