"""Scenarios: one load put on every variant in turn, round by round."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from bench.client import Job
from bench.process import cpu_s, line, machine_busy_s


@dataclass(frozen=True, slots=True)
class Variant:
    """What stands between client and upstream.

    Args:
        key: short name, for the JSON.
        title: name for people.
        ports: where each mode is served.
        envoy_pids: Envoy's process, if there is one.
        server_pids: those of the ext_proc server, or of another gateway.
    """

    key: str
    title: str
    ports: Mapping[str, int]
    envoy_pids: Sequence[int] = ()
    server_pids: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One load.

    Args:
        key: short name, for the JSON.
        title: name for people.
        job: the load; its port is the variant's.
        metrics: what is reported of it, see `METRICS`.
        mode: of Envoy's listener, see `bench.envoy.MODES`.
        per: what CPU and rate are counted by.
        warm_s: how long each variant is loaded before the first round.
    """

    key: str
    title: str
    job: Job
    metrics: Sequence[str]
    mode: str = "buffered"
    per: Literal["requests", "events"] = "requests"
    warm_s: float = 0.2


# metric -> (heading, unit)
METRICS = {
    "python_us": ("Python CPU", "µs"),
    "envoy_us": ("Envoy CPU", "µs"),
    "cpu_us": ("CPU", "µs"),
    "per_s": ("rate", "1/s"),
    "per_cpu_s": ("per CPU second", "1"),
    "p50_ms": ("p50", "ms"),
    "p99_ms": ("p99", "ms"),
    "first_ms": ("first event p50", "ms"),
    "late_ms": ("sent late p99", "ms"),
    "python_cores": ("Python", "cores"),
    "envoy_cores": ("Envoy", "cores"),
    "machine_cores": ("whole machine", "cores"),
}
Rounds = Mapping[str, Sequence[Mapping[str, float]]]
"""Variant key to one sample a round; a sample is metric to figure, CPU per request or event.

A variant without a process of a kind has no figure of it.
"""


def interleave(
    scenario: Scenario, variants: Sequence[Variant], load: subprocess.Popen[str], rounds: int
) -> Rounds:
    """Put the load on each variant in turn, `rounds` times over, after one turn to warm up."""
    samples: dict[str, list[Mapping[str, float]]] = {variant.key: [] for variant in variants}
    warming = replace(scenario, job=replace(scenario.job, seconds=scenario.warm_s))
    for variant in variants:
        _sample(warming, variant, load)
    for _ in range(rounds):
        for variant in variants:
            samples[variant.key].append(_sample(scenario, variant, load))
    return samples


def _sample(
    scenario: Scenario, variant: Variant, load: subprocess.Popen[str]
) -> Mapping[str, float]:
    assert load.stdin is not None
    job = replace(scenario.job, port=variant.ports[scenario.mode])
    before_s = _used_s(variant)
    load.stdin.write(json.dumps(asdict(job)) + "\n")
    result = json.loads(line(load))
    after_s = _used_s(variant)
    if result["errors"] or not result["requests"]:
        raise RuntimeError(f"{scenario.key}, {variant.title}: {result}")
    done, seconds = result[scenario.per], result["seconds"]
    used_s = {name: after_s[name] - before_s[name] for name in after_s}
    cpu = sum(used_s[name] for name in used_s if name != "machine")
    sample = {f"{name}_us": used_s[name] / done * 1e6 for name in used_s if name != "machine"}
    sample |= {f"{name}_cores": used_s[name] / seconds for name in used_s}
    if cpu:
        sample |= {"cpu_us": cpu / done * 1e6, "per_cpu_s": done / cpu}
    return sample | {
        "per_s": done / seconds,
        "p50_ms": result["latency_ms"]["p50"],
        "p99_ms": result["latency_ms"]["p99"],
        "first_ms": result["first_ms"]["p50"],
        "late_ms": result["late_ms"]["p99"],
    }


def _used_s(variant: Variant) -> dict[str, float]:
    kinds = {"envoy": variant.envoy_pids, "python": variant.server_pids}
    used = {name: sum(cpu_s(pid) for pid in pids) for name, pids in kinds.items() if pids}
    return used | {"machine": machine_busy_s()}
