"""Child processes of the benchmark: started, watched, measured and ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

STOP_S = 5.0
# Linux's clock id of another process's CPU time, all threads together: `CPUCLOCK_SCHED` is 2.
_CPU_CLOCK = 2


@contextmanager
def running(
    command: Sequence[str], log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a command with pipes to its stdin and stdout, its stderr in a file; end it after."""
    with log.open("w") as errors:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=env,
            text=True,
            bufsize=1,
        )
    with child:
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()


def module(name: str, *arguments: str) -> list[str]:
    """Return the command that runs a Python module under this interpreter."""
    return [sys.executable, "-m", name, *arguments]


def line(child: subprocess.Popen[str]) -> str:
    """Return the next line that a child prints.

    Raises:
        RuntimeError: it ended without one.
    """
    assert child.stdout is not None
    text = child.stdout.readline()
    if not text:
        raise RuntimeError(f"{child.args!r} ended with {child.wait(STOP_S)}; see its log")
    return text


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used, in all its threads, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | _CPU_CLOCK)


def tree(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            found += tree(int(child))
    return found


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return _status(pid, "VmRSS") * 1024


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return _status(pid, "Threads")


def open_files(pid: int) -> int:
    """Return how many file descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def machine_busy_s() -> float:
    """Return the CPU seconds that all of the machine has used since it started."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    user, nice, system, _idle, _waiting, *interrupts = map(int, fields[:7])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _status(pid: int, field: str) -> int:
    for entry in Path(f"/proc/{pid}/status").read_text().splitlines():
        if entry.startswith(f"{field}:"):
            return int(entry.split()[1])
    raise RuntimeError(f"process {pid} has no {field}")
