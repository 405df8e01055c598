"""What a translated hop costs: a client of OpenAI's chat whose provider speaks Anthropic's format.

All variants run Dragoman's own Envoy configuration. In the first the backend speaks the client's
format: there is one ext_proc stream and nothing to translate. In the second it does not, and that
stream translates request and answer as well. In the third there are two such backends, so that
each attempt has a stream of its own at upstream level, which translates.
"""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from bench import translation_cpu
from bench.client import Job
from bench.effort import Effort
from bench.host import serving
from bench.ladder import PACE_MS, SIZES
from bench.measure import Estimate, difference, mean
from bench.process import free_port, line, module, running
from bench.report import Row
from bench.scenarios import Rounds, Scenario, Variant
from pipeline.config.load import load_config
from pipeline.envoy.bootstrap import bootstrap
from pipeline.envoy.process import find_envoy
from pipeline.host.compile import compile_config

NAME = "translation"
PLAIN, TRANSLATED, ATTEMPTED = "plain", "translated", "attempted"
HOP_GOAL_MS, FIRST_GOAL_MS = 0.5, 3.0
# A cost that grew with the square of the size would be ten times as high per byte.
_LINEAR_GOAL = 2.0
_READY_S = 20.0
_STREAMS = 10
_LATENCY = ("python_us", "envoy_us", "per_s", "p50_ms", "p99_ms")


def scenarios(effort: Effort) -> list[Scenario]:
    """Return the loads."""
    found = [
        Scenario(
            f"{NAME}_{name}",
            f"{name.replace('kb', ' KB').replace('mb', ' MB')} request, {connections} "
            "connection(s): per request",
            Job(
                port=0,
                connections=connections,
                seconds=effort.seconds,
                body_bytes=SIZES[name],
            ),
            _LATENCY,
        )
        for name, connections in (("6kb", 16), ("600kb", 4), ("6mb", 2))
    ]
    streamed = Scenario(
        f"{NAME}_streamed",
        f"SSE answer, {_STREAMS} streams, an event every {PACE_MS} ms: per event",
        Job(
            port=0,
            connections=_STREAMS,
            seconds=effort.seconds / 2,
            events=effort.events,
            pace_ms=PACE_MS,
        ),
        ("python_us", "envoy_us", "per_s"),
        per="events",
    )
    first = Scenario(
        f"{NAME}_first_event",
        "SSE answer, one stream: from the request to the first event",
        Job(port=0, connections=1, seconds=effort.seconds, events=5, pace_ms=1),
        ("first_ms",),
    )
    return [*found, streamed, first]


def comparisons(rounds: dict[str, Rounds]) -> list[Row]:
    """Return what the translated hop adds, and whether that is linear in the body's size."""
    made = []
    for name in SIZES:
        if (key := f"{NAME}_{name}") in rounds:
            extra = added(rounds[key], "python_us").map(lambda us: us / 1000)
            goal = HOP_GOAL_MS if name == "6kb" else None
            made.append(Row(f"{key}.python_added", extra.value, "ms", goal, extra))
            extra = added(rounds[key], "python_us", ATTEMPTED).map(lambda us: us / 1000)
            made.append(Row(f"{key}.attempted_python_added", extra.value, "ms", estimate=extra))
    if {f"{NAME}_600kb", f"{NAME}_6mb"} <= rounds.keys():
        made.append(_linear(rounds))
    if (key := f"{NAME}_streamed") in rounds:
        extra = added(rounds[key], "python_us")
        made.append(Row(f"{key}.python_added", extra.value, "µs", estimate=extra))
    if (key := f"{NAME}_first_event") in rounds:
        extra = added(rounds[key], "first_ms")
        made.append(Row(f"{key}.added", extra.value, "ms", FIRST_GOAL_MS, extra))
    return made


def added(rounds: Rounds, metric: str, variant: str = TRANSLATED) -> Estimate:
    """Return what a variant that translates has more of a metric."""
    return difference(
        [sample[metric] for sample in rounds[variant]],
        [sample[metric] for sample in rounds[PLAIN]],
    )


def cpu_rows(effort: Effort) -> list[Row]:
    """Return what is measured without Envoy."""
    return translation_cpu.rows(effort)


def _linear(rounds: dict[str, Rounds]) -> Row:
    per_byte = {
        name: [
            (high["python_us"] - low["python_us"]) / SIZES[name]
            for high, low in zip(
                rounds[f"{NAME}_{name}"][TRANSLATED], rounds[f"{NAME}_{name}"][PLAIN], strict=True
            )
        ]
        for name in ("600kb", "6mb")
    }
    small = mean(per_byte["600kb"]).value
    found = mean(per_byte["6mb"]).map(lambda large: large / small)
    return Row(f"{NAME}.per_byte_6mb_over_600kb", found.value, "ratio", _LINEAR_GOAL, found)


@contextmanager
def translation_stage(folder: Path) -> Iterator[list[Variant]]:
    """Run the variants: an Envoy with one thread each, and a host of one process each."""
    folder.mkdir()
    with ExitStack() as stack:
        child = stack.enter_context(running(module("bench.claude"), folder / "upstream.log"))
        url = f"http://127.0.0.1:{int(line(child))}/v1"
        yield [
            stack.enter_context(_variant(folder / key, key, title, providers, url))
            for key, title, providers in (
                (PLAIN, "backend of the client's format", ["openai"]),
                (TRANSLATED, "backend of Anthropic's format", ["anthropic"]),
                (ATTEMPTED, "two of Anthropic's format", ["anthropic"] * 2),
            )
        ]


@contextmanager
def _variant(
    folder: Path, key: str, title: str, providers: Sequence[str], url: str
) -> Iterator[Variant]:
    folder.mkdir()
    backends = {
        f"upstream-{number}": {"provider": provider, "url": url, "api_key": "bench"}
        for number, provider in enumerate(providers)
    }
    config = folder / "dragoman.yaml"
    admin, listen = free_port(), free_port()
    document = {
        "server": {"address": f"unix:{folder}/host.sock", "admin": f"127.0.0.1:{admin}"},
        "telemetry": {"log_level": "warning"},
        "envoy": {"listen": f"127.0.0.1:{listen}", "admin": "127.0.0.1:0", "slack": "10s"},
        "backends": backends,
        "routes": [
            {
                "name": "chat",
                "match": {"path": "/v1/chat/completions"},
                "backends": list(backends),
            }
        ],
    }
    config.write_text(yaml.safe_dump(document))
    compiled = compile_config(*load_config(config, {}))
    made = json.dumps(bootstrap(compiled.config, compiled.plans))
    options = ["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning"]
    command = [str(find_envoy({})), "--config-yaml", made, *options]
    with (
        serving(config, admin, folder / "host.log") as (pid, _),
        running(command, folder / "envoy.log") as envoy,
    ):
        wait_until_open(envoy, listen, folder / "envoy.log")
        yield Variant(key, title, {"buffered": listen}, [envoy.pid], [pid])


def wait_until_open(child: subprocess.Popen[str], port: int, log: Path) -> None:
    """Wait for an Envoy to listen.

    Raises:
        RuntimeError: it did not start.
    """
    deadline_s = time.monotonic() + _READY_S
    while time.monotonic() < deadline_s and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"Envoy did not start: {log.read_text()[-2000:]}")
