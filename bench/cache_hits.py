"""What a hit costs through Envoy: exact and semantic, beside a bare ext_proc echo.

The echo parses and writes back the body, as the floor of the ladder does, and its call goes on to a
mock provider that answers at once. Calls are made one at a time on one connection each, the three
kinds in turn, so that what disturbs one disturbs all.
"""

from __future__ import annotations

import http.client
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from bench.effort import Effort
from bench.envoy import envoy
from bench.host import serving
from bench.measure import Estimate, difference, percentile
from bench.process import free_port, line, module, running
from bench.report import Row
from bench.stages import start_upstream
from bench.translation import wait_until_open
from pipeline.config.load import load_config
from pipeline.envoy.bootstrap import bootstrap
from pipeline.envoy.process import find_envoy
from pipeline.host.compile import compile_config

NAME = "cache_hits"
EXACT_GOAL_MS, SEMANTIC_GOAL_MS = 1.0, 4.0
_CALLS = 40
_THINGS = ("router", "printer", "camera", "laptop", "keyboard", "monitor", "tablet", "speaker")
_PLACES = (
    *("office", "kitchen", "garage", "bedroom", "library", "classroom", "attic", "basement"),
    *("hallway", "garden", "workshop", "studio", "warehouse", "lobby", "gym", "theatre"),
    *("hospital", "museum", "bakery", "laboratory", "barn", "chapel", "harbour", "station"),
    *("factory", "hotel", "clinic", "stadium", "bank", "court"),
)
_KINDS = ("echo", "exact", "semantic")
TITLES = {
    f"{NAME}.echo": "call through a bare ext_proc echo, p50",
    f"{NAME}.exact": "exact hit, p50",
    f"{NAME}.semantic": "semantic hit of 16 tokens, p50",
    f"{NAME}.exact.added": "exact hit beyond the echo",
    f"{NAME}.semantic.added": "semantic hit beyond the echo",
    f"{NAME}.semantic.share": "share of those calls that hit",
}
"""What the page calls the figures."""


def rows(effort: Effort) -> list[Row]:
    """Run everything and return the figures."""
    with tempfile.TemporaryDirectory(prefix="bench-cache-") as name, _ports(Path(name)) as ports:
        echo, cached = (http.client.HTTPConnection("127.0.0.1", port, timeout=30) for port in ports)
        pairs = _pairs()
        for question, _ in pairs:
            # Some are near enough to each other to hit; each is to be there as it stands.
            _ask(cached, question, {"cache-control": "no-cache"})
        time.sleep(1)  # what is stored after the answer is stored by now
        medians: dict[str, list[float]] = {kind: [] for kind in _KINDS}
        hits = asked = 0
        for turn in range(max(2, effort.rounds)):
            samples: dict[str, list[float]] = {kind: [] for kind in _KINDS}
            for call in range(_CALLS):
                question, meant = pairs[(turn * _CALLS + call) % len(pairs)]
                samples["echo"].append(_ask(echo, question)[0])
                samples["exact"].append(_ask(cached, question)[0])
                # Each wording once: its embedding is remembered nowhere.
                took_ms, said = _ask(cached, meant)
                asked += 1
                if "kind=semantic" in said:
                    hits += 1
                    samples["semantic"].append(took_ms)
            for kind, values in samples.items():
                if values:
                    medians[kind].append(percentile(values, 0.5))
    return _reported(medians, hits / asked)


def _reported(medians: dict[str, list[float]], share: float) -> list[Row]:
    found = [
        Row(f"{NAME}.{kind}", statistics.fmean(values), "ms")
        for kind, values in medians.items()
        if values
    ]
    for kind, goal in (("exact", EXACT_GOAL_MS), ("semantic", SEMANTIC_GOAL_MS)):
        if len(medians[kind]) == len(medians["echo"]):
            extra: Estimate = difference(medians[kind], medians["echo"])
            found.append(Row(f"{NAME}.{kind}.added", extra.value, "ms", goal, extra))
    return [*found, Row(f"{NAME}.semantic.share", share, "share")]


def _pairs() -> list[tuple[str, str]]:
    return [
        (
            f"How do I connect my new {thing} to the wireless network in the {place}?",
            f"How can I connect my new {thing} to the wireless network in the {place}?",
        )
        for thing in _THINGS
        for place in _PLACES
    ]


def _ask(
    connection: http.client.HTTPConnection, question: str, more: Mapping[str, str] = {}
) -> tuple[float, str]:
    """Make one call; returns how long it took in milliseconds, and what the cache says."""
    document = {"model": "bench-1", "messages": [{"role": "user", "content": question}]}
    headers = {"content-type": "application/json", "authorization": "Bearer bench", **more}
    since_s = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", json.dumps(document), headers)
    answer = connection.getresponse()
    answer.read()
    took_ms = (time.perf_counter() - since_s) * 1000
    if answer.status != 200:
        raise RuntimeError(f"status {answer.status}")
    return took_ms, answer.getheader("x-dragoman-cache") or ""


@contextmanager
def _ports(folder: Path) -> Iterator[tuple[int, int]]:
    """Run everything; gives the ports of the echo and of the cache."""
    with ExitStack() as stack:
        upstream = start_upstream(stack, folder)
        socket = str(folder / "floor.sock")
        floor = stack.enter_context(
            running(module("bench.floor", socket, "0"), folder / "floor.log")
        )
        line(floor)
        (folder / "echo").mkdir()
        echo = stack.enter_context(envoy(folder / "echo", upstream, [socket]))
        yield echo.ports["buffered"], _cached(stack, folder, upstream)


def _cached(stack: ExitStack, folder: Path, upstream: int) -> int:
    config = folder / "dragoman.yaml"
    admin, listen = free_port(), free_port()
    document = {
        "server": {"address": f"unix:{folder}/host.sock", "admin": f"127.0.0.1:{admin}"},
        "telemetry": {"log_level": "warning"},
        "envoy": {"listen": f"127.0.0.1:{listen}", "admin": "127.0.0.1:0", "slack": "10s"},
        "plugins": {"cache": {"uses": "semantic_cache"}},
        "backends": {
            "mock": {
                "provider": "openai",
                "url": f"http://127.0.0.1:{upstream}/v1",
                "api_key": "bench",
            }
        },
        "routes": [
            {
                "name": "chat",
                "match": {"path": "/v1/chat/completions"},
                "plugins": ["cache"],
                "backends": ["mock"],
            }
        ],
    }
    config.write_text(yaml.safe_dump(document))
    compiled = compile_config(*load_config(config, {}))
    made = json.dumps(bootstrap(compiled.config, compiled.plans))
    options = ["--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning"]
    command = [str(find_envoy({})), "--config-yaml", made, *options]
    stack.enter_context(serving(config, admin, folder / "host.log"))
    child = stack.enter_context(running(command, folder / "envoy.log"))
    wait_until_open(child, listen, folder / "envoy.log")
    return listen
