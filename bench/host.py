"""The host under test: its config, `dragoman serve`, and when that is ready."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.process import free_port, running
from pipeline.config.workers import worker_addresses

READY_S = 20.0
_ROOT = Path(__file__).parent.parent
_USES = {"look": "Look", "again": "Look", "mark": "Mark", "watch": "Watch"}
_USES |= {"watch2": "Watch", "watch3": "Watch", "census": "Census"}
_USES |= {"read": "Read", "read2": "Read", "read3": "Read"}
# The routes are named as the listeners in `bench.envoy`, which tell theirs in gRPC metadata.
Chains = Mapping[str, Sequence[str]]
Options = Mapping[str, Mapping[str, object]]
EMPTY: Chains = {"buffered": [], "streamed": [], "answered": []}
THREE: Chains = {
    "buffered": ["look", "again", "mark"],
    "streamed": ["watch", "watch2", "watch3"],
    "answered": ["read", "read2", "read3"],
}


@dataclass(frozen=True, slots=True)
class Host:
    """A running host.

    Args:
        pid: its process, the supervisor's where there are several workers.
        sockets: where Envoy reaches its workers.
        ready_s: how long it took to be ready.
    """

    pid: int
    sockets: Sequence[str]
    ready_s: float


@contextmanager
def host(
    folder: Path, chains: Chains, workers: int = 1, options: Options | None = None
) -> Iterator[Host]:
    """Run `dragoman serve` with one route per chain.

    Args:
        folder: for its files.
        chains: plugins by route.
        workers: processes that serve.
        options: of plugins, by their names in the chains.
    """
    path = str(folder / "host.sock")
    admin_port = free_port()
    config = folder / "dragoman.yaml"
    config.write_text(yaml.safe_dump(document(path, admin_port, chains, workers, options)))
    with serving(config, admin_port, folder / "host.log") as (pid, ready_s):
        sockets = [a.removeprefix("unix:") for a in worker_addresses(f"unix:{path}", workers)]
        yield Host(pid, sockets, ready_s)


@contextmanager
def serving(config: Path, admin_port: int, log: Path) -> Iterator[tuple[int, float]]:
    """Run `dragoman serve` for a config, and give its process and the seconds until it is ready."""
    command = [str(Path(sys.executable).with_name("dragoman")), "serve", "--config", str(config)]
    start_s = time.perf_counter()
    with running(command, log, env=os.environ | {"PYTHONPATH": str(_ROOT)}) as child:
        _wait_until_ready(child, admin_port, log)
        yield child.pid, time.perf_counter() - start_s


def document(
    path: str,
    admin_port: int,
    chains: Chains,
    workers: int = 1,
    options: Options | None = None,
) -> dict[str, object]:
    """Return the host's config: the instances that the chains name, a route per chain."""
    used = {name for chain in chains.values() for name in chain}
    plugins = {
        name: {"uses": f"bench.plugins:{_USES[name]}", "with": dict((options or {}).get(name, {}))}
        for name in sorted(used)
    }
    return {
        "server": {
            "address": f"unix:{path}",
            "admin": f"127.0.0.1:{admin_port}",
            "workers": workers,
        },
        "telemetry": {"log_level": "warning"},
        "plugins": plugins,
        "routes": [{"name": name, "plugins": list(chain)} for name, chain in chains.items()],
    }


def _wait_until_ready(child: subprocess.Popen[str], admin_port: int, log: Path) -> None:
    deadline_s = time.monotonic() + READY_S
    while time.monotonic() < deadline_s and child.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", admin_port, timeout=1)
        try:
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.005)
    raise RuntimeError(f"the host did not become ready: {log.read_text()[-2000:]}")
