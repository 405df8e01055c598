"""Side by side with other gateways: plain forwarding of a chat call, each on all cores."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console

from bench.client import Job, request
from bench.effort import Effort
from bench.measure import difference, ratio
from bench.peer_installs import install_litellm, install_portkey
from bench.process import free_port, module, rss_bytes, running, tree
from bench.report import Row, print_scenario, scenario_rows
from bench.scenarios import Rounds, Scenario, Variant, interleave
from bench.stages import start_upstream

NAME = "peers"
OUTPUT = Path("build/peers.json")
CORES = 2
# About half of what the slowest of them was seen to answer on two cores.
OPEN_RATE_PER_S = 40
OURS, OURS_THREE, LITELLM, PORTKEY, PORTKEY_2 = (
    "dragoman",
    "dragoman_three",
    "litellm",
    "portkey",
    "portkey_2",
)
_ROOT = Path(__file__).parent.parent
_START_S, _SETTLE_S = 300.0, 5.0
# LiteLLM starts with none that it thinks weak; the others pass it on, or put the provider's own.
_KEY = "sk-4f1c29d07be8465aa9d3b1702c5e8f6432d9a7c1"
# What `pm2 start -i 2` would do: Portkey's own server is a single process.
_CLUSTER = """\
import cluster from 'node:cluster';
if (cluster.isPrimary) { for (let i = 0; i < %d; i++) cluster.fork(); }
else { await import(process.env.BENCH_SERVER); }
"""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that is to be measured.

    Args:
        key: short name, for the JSON.
        title: name for people.
        command: starts it.
        port: where it listens.
        env: what its environment has beside ours.
    """

    key: str
    title: str
    command: Sequence[str]
    port: int
    env: Mapping[str, str]


def gateways(folder: Path, upstream_port: int) -> list[Gateway]:
    """Install what is not ours, write every config, and return what is to be started."""
    upstream = f"http://127.0.0.1:{upstream_port}/v1"
    dragoman = str(Path(sys.executable).with_name("dragoman"))
    found = []
    for key, title, plugins in (
        (OURS, f"Dragoman and Envoy, {CORES} workers", []),
        (OURS_THREE, "the same with three trivial plugins", ["look", "again", "mark"]),
    ):
        port, config = free_port(), folder / f"{key}.yaml"
        config.write_text(yaml.safe_dump(_dragoman(folder / key, port, upstream, plugins)))
        command = [dragoman, "run", "--config", str(config)]
        found.append(Gateway(key, title, command, port, {"PYTHONPATH": str(_ROOT)}))

    port, config = free_port(), folder / "litellm.yaml"
    config.write_text(yaml.safe_dump(_litellm(upstream)))
    options = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", str(CORES)]
    # On a busy machine its workers may not be ready within 5 s: they would be killed, and again.
    options += ["--timeout_worker_healthcheck", "60"]
    command = [str(install_litellm()), "--config", str(config), *options]
    quiet = {
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        # Otherwise it asks the network for a price list as it starts.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    found.append(Gateway(LITELLM, f"LiteLLM's proxy, {CORES} workers", command, port, quiet))

    server = install_portkey()
    cluster = folder / "cluster.mjs"
    cluster.write_text(_CLUSTER % CORES)
    for key, title, script in (
        (PORTKEY, "Portkey's gateway, as it comes (one process)", server),
        (PORTKEY_2, f"Portkey's gateway, a cluster of {CORES} processes", cluster),
    ):
        port = free_port()
        command = ["node", str(script), "--headless", f"--port={port}"]
        env = {"NODE_ENV": "production", "BENCH_SERVER": server.resolve().as_uri()}
        found.append(Gateway(key, title, command, port, env))
    return found


def scenarios(effort: Effort, upstream_port: int) -> list[Scenario]:
    """Return the loads: the same bytes for all of them."""
    headers = {
        "authorization": f"Bearer {_KEY}",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream_port}/v1",
    }
    closed = Job(port=0, connections=16, seconds=2 * effort.seconds, headers=headers)
    paced = Job(
        port=0,
        connections=64,
        seconds=2 * effort.open_seconds,
        rate_per_s=OPEN_RATE_PER_S,
        headers=headers,
    )
    return [
        Scenario(
            "peers_16",
            "2 KB request forwarded, 16 connections: per request",
            closed,
            ("cpu_us", "per_cpu_s", "per_s", "p50_ms", "p99_ms", "machine_cores"),
            warm_s=2.0,
        ),
        Scenario(
            "peers_open",
            f"2 KB request forwarded, open loop at {OPEN_RATE_PER_S} requests/s",
            paced,
            ("p50_ms", "p99_ms", "late_ms", "cpu_us"),
            warm_s=1.0,
        ),
    ]


def run(console: Console, folder: Path, effort: Effort) -> list[Row]:
    """Start every gateway, measure all of them in turns, and return all figures."""
    rows: list[Row] = []
    rounds: dict[str, Rounds] = {}
    with ExitStack() as stack:
        load = stack.enter_context(running(module("bench.load"), folder / "load.log"))
        port = start_upstream(stack, folder)
        loads = scenarios(effort, port)
        running_ones = []
        for gateway in gateways(folder, port):
            pid, start_s = stack.enter_context(started(gateway, folder, loads[0].job))
            running_ones.append((gateway, pid))
            rows.append(Row(f"peers.{gateway.key}.start", start_s, "s"))
        # Others of their processes come a little after the first that answers.
        time.sleep(_SETTLE_S)
        variants = [Variant("direct", "the mock provider itself", {"buffered": port})] + [
            Variant(one.key, one.title, {"buffered": one.port}, (), tree(pid))
            for one, pid in running_ones
        ]
        for scenario in loads:
            rounds[scenario.key] = interleave(scenario, variants, load, effort.rounds)
            found = scenario_rows(scenario, rounds[scenario.key])
            print_scenario(console, scenario, variants, found)
            rows += found
        for variant in variants[1:]:
            resident_bytes = sum(rss_bytes(pid) for pid in variant.server_pids)
            rows.append(Row(f"peers.{variant.key}.rss", resident_bytes / 1e6, "MB"))
    return rows + comparisons(rounds)


def comparisons(rounds: Mapping[str, Rounds]) -> list[Row]:
    """Return how much more Dragoman does than each of the others, and what each adds."""
    rows = []
    closed, paced = rounds["peers_16"], rounds["peers_open"]
    for peer, per_cpu_goal, rate_goal in (
        (LITELLM, 8.0, 15.0),
        (PORTKEY, 1.5, 2.0),
        (PORTKEY_2, 1.5, 2.0),
    ):
        for metric, goal in (("per_cpu_s", per_cpu_goal), ("per_s", rate_goal)):
            estimate = ratio(*([s[metric] for s in closed[key]] for key in (OURS, peer)))
            name = f"peers_16.{OURS}.{metric}.over_{peer}"
            rows.append(Row(name, estimate.value, "ratio", goal, estimate, at_least=True))
    for key in (OURS, OURS_THREE, LITELLM, PORTKEY, PORTKEY_2):
        for metric in ("p50_ms", "p99_ms"):
            estimate = difference(*([s[metric] for s in paced[k]] for k in (key, "direct")))
            name = f"peers_open.{key}.added_{metric}"
            rows.append(Row(name, estimate.value, "ms", estimate=estimate))
    return rows


@contextmanager
def started(gateway: Gateway, folder: Path, job: Job) -> Iterator[tuple[int, float]]:
    """Run a gateway; gives its process, and how long it took to its first answer."""
    log = folder / f"{gateway.key}.log"
    outside = {"PYTHONPATH", "VIRTUAL_ENV"}
    env = {name: value for name, value in os.environ.items() if name not in outside}
    start_s = time.perf_counter()
    with log.open("w") as output:
        child = subprocess.Popen(
            gateway.command, stdout=output, stderr=output, cwd=folder, env={**env, **gateway.env}
        )
    try:
        while not _answers(gateway.port, job):
            if child.poll() is not None or time.perf_counter() - start_s > _START_S:
                raise RuntimeError(f"{gateway.title} did not start: {log.read_text()[-3000:]}")
            time.sleep(0.02)
        ready_s = time.perf_counter() - start_s
        yield child.pid, ready_s
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            for pid in tree(child.pid):
                os.kill(pid, 9)
            child.wait()


def _answers(port: int, job: Job) -> bool:
    _, _, body = request(job).partition(b"\r\n\r\n")
    headers = {"content-type": "application/json", **job.headers}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/v1/chat/completions", body, headers)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _dragoman(folder: Path, port: int, upstream: str, plugins: Sequence[str]) -> dict[str, object]:
    folder.mkdir()
    uses = {"look": "Look", "again": "Look", "mark": "Mark"}
    return {
        "server": {
            "address": f"unix:{folder}/host.sock",
            "admin": f"127.0.0.1:{free_port()}",
            "workers": CORES,
        },
        "envoy": {
            "listen": f"127.0.0.1:{port}",
            "admin": f"127.0.0.1:{free_port()}",
            "concurrency": CORES,
        },
        "telemetry": {"log_level": "warning"},
        "plugins": {name: {"uses": f"bench.plugins:{uses[name]}"} for name in plugins},
        "backends": {"mock": {"provider": "openai", "url": upstream, "api_key": "sk-bench"}},
        "routes": [
            {
                "name": "chat",
                "match": {"path": "/v1/chat/completions"},
                "plugins": list(plugins),
                "backends": ["mock"],
            }
        ],
    }


def _litellm(upstream: str) -> dict[str, object]:
    # Their production page, less what plain forwarding does without: a database and alerts.
    params = {"model": "openai/bench-1", "api_base": upstream, "api_key": "sk-bench"}
    return {
        "model_list": [{"model_name": "bench-1", "litellm_params": params}],
        "litellm_settings": {"request_timeout": 600, "set_verbose": False},
        "general_settings": {"master_key": _KEY, "disable_error_logs": True},
    }
