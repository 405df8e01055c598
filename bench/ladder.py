"""The ladder: Envoy alone, the floor, an empty chain, three plugins; and what each rung costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.client import Job
from bench.effort import Effort
from bench.measure import Estimate, difference, ratio
from bench.report import Row
from bench.scenarios import Rounds, Scenario

OUTPUT = Path("build/bench.json")
ALONE, FLOOR, HOST_EMPTY, HOST_THREE = "envoy_alone", "floor", "host_empty", "host_three"
FLOOR_BUSY, BUSY_US = "floor_busy", 25
SIZES = {"6kb": 6_000, "60kb": 60_000, "600kb": 600_000, "6mb": 6_000_000}
PACE_MS, SIZE_EVENTS = 5, 20
OPEN_RATE_PER_S, OPEN_CONNECTIONS = 200, 64
_LATENCY = ("python_us", "envoy_us", "per_s", "p50_ms", "p99_ms")
_CORES = ("python_cores", "envoy_cores", "machine_cores")


def scenarios(effort: Effort) -> list[Scenario]:
    """Return the loads of the whole ladder, in the order in which they are run."""
    return [*_small(effort), *_open(effort), *_sizes(effort)]


def worker_scenarios(effort: Effort) -> list[Scenario]:
    """Return the loads that are put on several workers."""
    seconds, small = effort.seconds, SIZES["6kb"]
    return [
        Scenario(
            "workers_16",
            "6 KB request, BUFFERED, 16 connections, several workers: per request",
            Job(port=0, connections=16, seconds=seconds, body_bytes=small),
            (*_LATENCY, *_CORES),
        ),
        Scenario(
            "workers_streamed_40",
            "SSE answer, STREAMED, 40 streams, several workers: per event",
            _streams(40, seconds / 2, effort.events),
            ("python_us", "envoy_us", "per_s", *_CORES),
            mode="streamed",
            per="events",
        ),
    ]


def _small(effort: Effort) -> list[Scenario]:
    seconds = effort.seconds
    buffered = [
        Scenario(
            f"buffered_{n}",
            f"2 KB request, headers and BUFFERED body, {n} connection(s): per request",
            Job(port=0, connections=n, seconds=seconds),
            (*_LATENCY, *_CORES) if n > 1 else _LATENCY,
        )
        for n in (16, 1)
    ]
    streamed = [
        Scenario(
            f"streamed_{n}",
            f"SSE answer, STREAMED, {n} streams, an event every {PACE_MS} ms: per event",
            _streams(n, seconds / 2, effort.events),
            ("python_us", "envoy_us", "per_s"),
            mode="streamed",
            per="events",
        )
        for n in (10, 40)
    ]
    first = Scenario(
        "first_event",
        "SSE answer, STREAMED, one stream: from the request to the first event",
        Job(port=0, connections=1, seconds=seconds, events=5, pace_ms=1),
        ("first_ms",),
        mode="streamed",
    )
    return [*buffered, *streamed, first]


def _open(effort: Effort) -> list[Scenario]:
    job = Job(
        port=0,
        connections=OPEN_CONNECTIONS,
        seconds=effort.open_seconds,
        body_bytes=SIZES["6kb"],
        rate_per_s=OPEN_RATE_PER_S,
    )
    title = f"6 KB request, BUFFERED, open loop at {OPEN_RATE_PER_S} requests/s"
    return [Scenario("open_200", title, job, ("p50_ms", "p99_ms", "late_ms", "machine_cores"))]


def _sizes(effort: Effort) -> list[Scenario]:
    seconds = effort.size_seconds
    found = []
    for name in effort.sizes:
        size = SIZES[name]
        text = name.replace("kb", " KB").replace("mb", " MB")
        found += [
            Scenario(
                f"ladder_{name}_{n}",
                f"{text} request, BUFFERED, {n} connection(s): per request",
                Job(port=0, connections=n, seconds=seconds, body_bytes=size),
                _LATENCY,
            )
            for n in (16, 1)
        ]
        found += [
            Scenario(
                f"ladder_{name}_answered",
                f"6 KB request, {text} answer, both BUFFERED, 16 connections: per request",
                Job(
                    port=0,
                    connections=16,
                    seconds=seconds,
                    body_bytes=SIZES["6kb"],
                    answer_bytes=size,
                ),
                _LATENCY,
                mode="answered",
            ),
            Scenario(
                f"ladder_{name}_streamed",
                f"{text} request, SSE answer of {SIZE_EVENTS} events, STREAMED, 10 streams: "
                "per request",
                Job(
                    port=0,
                    connections=10,
                    seconds=seconds,
                    events=SIZE_EVENTS,
                    pace_ms=PACE_MS,
                    body_bytes=size,
                ),
                ("python_us", "envoy_us", "per_s", "first_ms"),
                mode="streamed",
            ),
        ]
    return found


def _streams(connections: int, seconds: float, events: int) -> Job:
    return Job(port=0, connections=connections, seconds=seconds, events=events, pace_ms=PACE_MS)


Combine = Callable[[Sequence[float], Sequence[float]], Estimate]


def comparisons(rounds: Mapping[str, Rounds]) -> list[Row]:
    """Return what each variant costs beside the floor and beside Envoy alone."""
    rows: list[Row] = []

    def compare(
        combine: Combine,
        scenario: str,
        metric: str,
        variants: tuple[str, str],
        name: str,
        unit: str,
        target: float | None,
    ) -> None:
        one, other = variants
        samples = rounds.get(scenario, {})
        if one in samples and other in samples:
            estimate = combine(*([s[metric] for s in samples[key]] for key in variants))
            rows.append(Row(name, estimate.value, unit, target, estimate))

    for scenario, variant, target in (
        ("buffered_16", FLOOR_BUSY, None),
        ("buffered_16", HOST_EMPTY, 1.25),
        ("buffered_16", HOST_THREE, 1.5),
        ("streamed_10", HOST_THREE, 1.3),
        ("streamed_40", HOST_THREE, 1.3),
        *(
            (f"ladder_{name}_{kind}", variant, None)
            for name in SIZES
            for kind in ("16", "answered", "streamed")
            for variant in (HOST_EMPTY, HOST_THREE)
        ),
    ):
        name = f"{scenario}.{variant}.python_us.over_floor"
        compare(ratio, scenario, "python_us", (variant, FLOOR), name, "ratio", target)
    for variant, goal in ((FLOOR, None), (HOST_EMPTY, None), (HOST_THREE, 2.0)):
        name = f"first_event.{variant}.delay"
        compare(difference, "first_event", "first_ms", (variant, ALONE), name, "ms", goal)
    for metric, goal in (("p50_ms", 1.5), ("p99_ms", 5.0)):
        for variant in (FLOOR, HOST_EMPTY, HOST_THREE):
            name = f"open_200.{variant}.added_{metric}"
            target = None if variant == FLOOR else goal
            compare(difference, "open_200", metric, (variant, ALONE), name, "ms", target)
    return rows
