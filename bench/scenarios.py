"""Scenarios: one load put on every variant in turn, round by round."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from bench.envoy import Envoy
from bench.load import Job
from bench.process import cpu_s, line


@dataclass(frozen=True, slots=True)
class Variant:
    """What stands between client and upstream.

    Args:
        key: short name, for the JSON.
        title: name for people.
        envoy: the Envoy in front.
        server_pid: the Python ext_proc server, None for Envoy alone.
    """

    key: str
    title: str
    envoy: Envoy
    server_pid: int | None


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load.

    Args:
        key: short name, for the JSON.
        title: name for people.
        job: the load; its port is the variant's.
        metrics: what is reported of it, see `METRICS`.
    """

    key: str
    title: str
    job: Job
    metrics: Sequence[str]


# metric -> (heading, unit)
METRICS = {
    "python_us": ("Python CPU", "µs"),
    "envoy_us": ("Envoy CPU", "µs"),
    "per_s": ("rate", "1/s"),
    "p50_ms": ("p50", "ms"),
    "p99_ms": ("p99", "ms"),
    "first_ms": ("first event p50", "ms"),
}
Rounds = Mapping[str, Sequence[Mapping[str, float]]]
"""Variant key to one sample a round; a sample is metric to figure, CPU per request or event.

Envoy alone has no figure of Python.
"""


def interleave(
    scenario: Scenario, variants: Sequence[Variant], load: subprocess.Popen[str], rounds: int
) -> Rounds:
    """Put the load on each variant in turn, `rounds` times over, after one turn to warm up."""
    samples: dict[str, list[Mapping[str, float]]] = {variant.key: [] for variant in variants}
    for variant in variants:
        _sample(replace(scenario.job, seconds=0.2), variant, load)
    for _ in range(rounds):
        for variant in variants:
            samples[variant.key].append(_sample(scenario.job, variant, load))
    return samples


def _sample(job: Job, variant: Variant, load: subprocess.Popen[str]) -> Mapping[str, float]:
    assert load.stdin is not None
    port = variant.envoy.ports["streamed" if job.events else "buffered"]
    pids = [variant.envoy.pid, variant.server_pid or variant.envoy.pid]
    before_s = [cpu_s(pid) for pid in pids]
    load.stdin.write(json.dumps(asdict(replace(job, port=port))) + "\n")
    result = json.loads(line(load))
    envoy_s, python_s = (cpu_s(pid) - s for pid, s in zip(pids, before_s, strict=True))
    if result["errors"] or not result["requests"]:
        raise RuntimeError(f"{variant.title}: {result}")
    done = result["events"] if job.events else result["requests"]
    python = {"python_us": python_s / done * 1e6} if variant.server_pid else {}
    return python | {
        "envoy_us": envoy_s / done * 1e6,
        "per_s": done / result["seconds"],
        "p50_ms": result["latency_ms"]["p50"],
        "p99_ms": result["latency_ms"]["p99"],
        "first_ms": result["first_ms"]["p50"],
    }
