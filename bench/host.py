"""The host under test: its config, `dragoman serve`, and when that is ready."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.process import running

READY_S = 20.0
_ROOT = Path(__file__).parent.parent
_USES = {"look": "Look", "again": "Look", "mark": "Mark", "watch": "Watch"}
_USES |= {"watch2": "Watch", "watch3": "Watch"}
# The routes are named as the listeners in `bench.envoy`, which tell theirs in gRPC metadata.
EMPTY: dict[str, Sequence[str]] = {"buffered": [], "streamed": []}
THREE: dict[str, Sequence[str]] = {
    "buffered": ["look", "again", "mark"],
    "streamed": ["watch", "watch2", "watch3"],
}


@dataclass(frozen=True, slots=True)
class Host:
    """A running host.

    Args:
        pid: its process.
        socket: where Envoy reaches it.
        ready_s: how long it took to be ready.
    """

    pid: int
    socket: str
    ready_s: float


@contextmanager
def host(folder: Path, chains: dict[str, Sequence[str]]) -> Iterator[Host]:
    """Run `dragoman serve` with one route per chain."""
    path = str(folder / "host.sock")
    admin_port = _free_port()
    config = folder / "dragoman.yaml"
    config.write_text(yaml.safe_dump(document(path, admin_port, chains)))
    command = [str(Path(sys.executable).with_name("dragoman")), "serve", "--config", str(config)]
    log = folder / "host.log"
    start_s = time.perf_counter()
    with running(command, log, env=os.environ | {"PYTHONPATH": str(_ROOT)}) as child:
        _wait_until_ready(child, admin_port, log)
        yield Host(child.pid, path, time.perf_counter() - start_s)


def document(path: str, admin_port: int, chains: dict[str, Sequence[str]]) -> dict[str, object]:
    """Return the host's config: the instances that the chains name, a route per chain."""
    used = {name for chain in chains.values() for name in chain}
    return {
        "server": {"address": f"unix:{path}", "admin": f"127.0.0.1:{admin_port}"},
        "telemetry": {"log_level": "warning"},
        "plugins": {name: {"uses": f"bench.plugins:{_USES[name]}"} for name in sorted(used)},
        "routes": [{"name": name, "plugins": list(chain)} for name, chain in chains.items()],
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
