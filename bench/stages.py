"""The stages: what runs while a group of scenarios is measured. All stand idle but one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.envoy import envoy
from bench.host import EMPTY, THREE, Host, host
from bench.ladder import ALONE, BUSY_US, FLOOR, FLOOR_BUSY, HOST_EMPTY, HOST_THREE
from bench.process import line, module, running, tree
from bench.scenarios import Variant

WORKERS = (1, 2, 4)


def start_upstream(stack: ExitStack, folder: Path) -> int:
    """Run the mock provider and return its port."""
    child = stack.enter_context(running(module("bench.upstream"), folder / "upstream.log"))
    return int(line(child))


@contextmanager
def ladder_stage(folder: Path, *, with_host: bool) -> Iterator[tuple[list[Variant], list[Host]]]:
    """Run every rung: an Envoy with one thread each, and a server with one process each."""
    folder.mkdir()
    with ExitStack() as stack:
        port = start_upstream(stack, folder)
        alone = stack.enter_context(envoy(_room(folder, ALONE), port))
        variants = [Variant(ALONE, "Envoy alone", alone.ports, [alone.pid])]

        def add(key: str, title: str, path: str, pid: int) -> None:
            behind = stack.enter_context(envoy(folder / key, port, [path]))
            variants.append(Variant(key, title, behind.ports, [behind.pid], [pid]))

        for key, title, busy_us in (
            (FLOOR, "floor: bare grpc.aio echo", 0),
            (FLOOR_BUSY, f"floor that spins {BUSY_US} µs a message", BUSY_US),
        ):
            room = _room(folder, key)
            path = str(room / "floor.sock")
            command = module("bench.floor", path, str(busy_us))
            floor = stack.enter_context(running(command, room / "floor.log"))
            line(floor)
            add(key, title, path, floor.pid)
        hosts = []
        if with_host:
            for key, title, chains in (
                (HOST_EMPTY, "host, empty chain", EMPTY),
                (HOST_THREE, "host, three trivial plugins", THREE),
            ):
                hosts.append(stack.enter_context(host(_room(folder, key), chains)))
                add(key, title, hosts[-1].sockets[0], hosts[-1].pid)
        yield variants, hosts


@contextmanager
def workers_stage(folder: Path) -> Iterator[list[Variant]]:
    """Run Envoys with two threads: alone, and before three plugins in 1, 2 and 4 workers."""
    folder.mkdir()
    with ExitStack() as stack:
        port = start_upstream(stack, folder)
        alone = stack.enter_context(envoy(_room(folder, ALONE), port, threads=2))
        variants = [Variant(ALONE, "Envoy alone, two threads", alone.ports, [alone.pid])]
        for workers in WORKERS:
            key = f"workers_{workers}"
            room = _room(folder, key)
            served = stack.enter_context(host(room, THREE, workers))
            behind = stack.enter_context(envoy(room, port, served.sockets, threads=2))
            title = f"host, three trivial plugins, {workers} worker(s)"
            pids: Sequence[int] = tree(served.pid)
            variants.append(Variant(key, title, behind.ports, [behind.pid], pids))
        yield variants


def _room(folder: Path, key: str) -> Path:
    room = folder / key
    room.mkdir()
    return room
