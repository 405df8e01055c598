"""Rules about life: importing, starting, time limits, cancellation, memory, the end."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import subprocess
import sys
import threading
from itertools import cycle, islice
from typing import Any

from pydantic import BaseModel

from pipeline.api import Plugin, PluginConfig
from pipeline.testing.conformance.subject import (
    Case,
    NotApplicable,
    Subject,
    Violation,
    case_of,
    require,
)
from pipeline.testing.cuts import seeded
from pipeline.testing.envoy import FakeEnvoy, Wire
from pipeline.testing.host import Host

IMPORT_LIMIT_S = 1.0
HOOK_LIMIT_S = 0.25
_BUDGET = "1ms"
MEMORY_LIMIT_BYTES = 8  # one small object for every sixth exchange
_BATCH = 200
_PATIENCE_S = 2.0
_TEXTS = frozenset({str, bytes, bytearray})
# CPython's allocator takes blocks of 16 to 512 bytes; what is longer is no block of its.
_LONG, _BLOCK_BYTES = 512, 48
_MOMENTS = 40
_IN_PIECES = Wire(cut=seeded(1, pieces=4))

_TIMED = (
    "import sys, time; sys.path[:0] = sys.argv[2:]; import pipeline.api; "
    "begun = time.perf_counter(); __import__(sys.argv[1]); print(time.perf_counter() - begun)"
)


async def quick_import(subject: Subject) -> None:
    """Importing the plugin's module takes less than a second.

    Models and connections belong in `startup`: `dragoman check` imports every plugin as well.
    """
    module = subject.plugin.__module__
    command = [sys.executable, "-c", _TIMED, module, *filter(None, sys.path)]
    times = []
    # The best of three: the machine may be busy.
    for _ in range(3):
        done = await asyncio.to_thread(
            subprocess.run,
            command,
            capture_output=True,
            text=True,
            env=dict(os.environ),
            check=False,
        )
        if done.returncode != 0:
            raise NotApplicable(f"{module} cannot be imported by itself")
        times.append(float(done.stdout.split()[-1]))
        if times[-1] < IMPORT_LIMIT_S:
            return
    raise Violation(f"importing {module} takes {min(times):.1f} s")


async def described_options(subject: Subject) -> None:
    """Every option has a description, and an unknown one is an error.

    The reference page and editors show the descriptions; a typo that is no error is a default.
    """
    config = subject.plugin.Config
    require(issubclass(config, PluginConfig), "Config is no PluginConfig")
    for model in _models(config):
        for name, info in model.model_fields.items():
            require(bool(info.description), f"{model.__name__}.{name} has no description")
        forbids = model.model_config.get("extra") == "forbid"
        require(forbids, f"{model.__name__} takes unknown options")


def _models(root: type[BaseModel]) -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = []
    ahead: list[Any] = [root]
    while ahead:
        kind = ahead.pop()
        ahead += getattr(kind, "__args__", ())
        is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
        if is_model and kind not in found:
            found.append(kind)
            ahead += [info.annotation for info in kind.model_fields.values()]
    return found


async def clean_end(subject: Subject) -> None:
    """`shutdown` works after a failed `startup`, and leaves no task and no thread behind.

    The host calls it in any case. What it leaves behind is there again after each reload.
    """
    plugin = _made(subject)
    await _once(plugin, "shutdown", "which never started")
    threads = set(threading.enumerate())
    tasks = asyncio.all_tasks()
    plugin = _made(subject)
    await _maybe(getattr(plugin, "startup", None))
    await _once(plugin, "shutdown", "which had started")
    await _once(plugin, "shutdown", "which had shut down")
    await _settled(tasks)
    for _ in range(20):
        if not (left := set(threading.enumerate()) - threads):
            return
        await asyncio.sleep(0.01)
    require(not left, f"shutdown leaves {len(left)} threads behind")


def _made(subject: Subject) -> Plugin[Any]:
    options = subject.plugin.Config.model_validate(dict(subject.options))
    return subject.plugin(options, name="plugin")


async def _maybe(hook: Any) -> None:
    result = hook() if hook is not None else None
    if inspect.isawaitable(result):
        await result


async def _once(plugin: Plugin[Any], hook: str, what: str) -> None:
    try:
        await _maybe(getattr(plugin, hook, None))
    except Exception as error:
        raise Violation(f"{hook} of a plugin {what} raises {type(error).__name__}") from error


async def timeout(subject: Subject) -> None:
    """A hook whose time is over lets go of its exchange at once.

    The host takes an `async` hook's time away by cancelling it. It cannot interrupt a `def` hook
    that computes, or one that catches the cancellation.
    """
    for case in subject.cases():
        async with subject.host(timeout=_BUDGET) as host:
            got = await host.send(case.request, case.response)
        for step in got.steps:
            held = f"{case.name}: {step.hook} took {step.duration_s:.2f} s of a budget of {_BUDGET}"
            require(step.duration_s < HOOK_LIMIT_S, held)


async def cancel(subject: Subject) -> None:
    """An exchange may be cancelled at any moment: hooks let go, `on_complete` works, no task stays.

    Clients hang up, and Envoy then closes the stream in whatever phase it is.
    """
    for case in subject.cases():
        for phase in range(4):
            await _cancelled(subject, case, phase)
        for moment in range(_MOMENTS):
            if not await _interrupted(subject, case, moment):
                break


async def _cancelled(subject: Subject, case: Case, phase: int) -> None:
    """End the stream between two phases."""
    async with subject.host() as host:
        tasks = asyncio.all_tasks()
        envoy = host.open()
        if phase == 1:
            await envoy.open_request(case.request)
        if phase > 1:
            await envoy.request(case.request)
        if phase == 3 and envoy.finish is None:
            await envoy.open_response(case.response)
        await _look_back(envoy, case, tasks)


async def _interrupted(subject: Subject, case: Case, moment: int) -> bool:
    """Cancel the work on a stream after some turns of the loop; False where it was done."""
    async with subject.host() as host:
        tasks = asyncio.all_tasks()
        envoy = host.open(_IN_PIECES)
        work = asyncio.ensure_future(_both(envoy, case))
        for _ in range(moment):
            await asyncio.sleep(0)
        was_running = work.cancel()
        done, _ = await asyncio.wait([work], timeout=_PATIENCE_S)
        if not done:
            raise Violation(f"{case.name}: a hook goes on although it was cancelled")
        if was_running and not work.cancelled():
            work.exception()
            raise Violation(f"{case.name}: a hook catches its cancellation and goes on")
        await _look_back(envoy, case, tasks)
    return was_running


async def _both(envoy: FakeEnvoy, case: Case) -> None:
    if await envoy.request(case.request) is not None:
        await envoy.respond(case.response)


async def _look_back(envoy: FakeEnvoy, case: Case, tasks: set[asyncio.Task[Any]]) -> None:
    outcome = await envoy.close()
    for step in outcome.steps if outcome is not None else ():
        failed = step.hook == "on_complete" and step.decision == "error"
        require(not failed, f"{case.name}: on_complete failed after a cancellation")
    await _settled(tasks)


async def _settled(before: set[asyncio.Task[Any]]) -> None:
    """Give what was cancelled its turns, then look for tasks that stay."""
    for _ in range(20):
        left = asyncio.all_tasks() - before
        if not left:
            return
        await asyncio.sleep(0.005)
    require(not left, f"{len(left)} tasks stay behind")


async def memory(subject: Subject) -> None:
    """What an exchange needs is free again when it is over.

    A hundred bytes for each of ten million exchanges a day are a gigabyte.
    """
    texts = list(subject.texts)
    cases = [
        case_of(prompt, answer, streams=streams)
        for prompt, answer in texts
        for streams in (False, True)
    ]
    async with subject.host() as host:
        await _batch(host, cases)
        await _batch(host, cases)
        growth = [await _growth(host, cases) for _ in range(4)]
    # Tables grow by leaps: what leaks grows in every batch.
    least = min(growth)
    kept = f"it keeps {least:.0f} bytes of every exchange"
    require(least <= MEMORY_LIMIT_BYTES, kept)


async def _growth(host: Host, cases: list[Case]) -> float:
    before = _held_bytes()
    await _batch(host, cases)
    return (_held_bytes() - before) / _BATCH


def _held_bytes() -> int:
    """Estimate what live objects take: small ones by their blocks, long texts by their size.

    Not by tracemalloc: until CPython 3.12.9 its end may crash a process that has other threads.
    """
    gc.collect()
    blocks = sys.getallocatedblocks()
    long_texts = {
        id(held): sys.getsizeof(held)
        for holder in gc.get_objects()
        for held in gc.get_referents(holder)
        if type(held) in _TEXTS and len(held) >= _LONG
    }
    return blocks * _BLOCK_BYTES + sum(long_texts.values())


async def _batch(host: Host, cases: list[Case]) -> None:
    for number, case in enumerate(islice(cycle(cases), _BATCH)):
        if number % 10 == 9:  # a client that hung up
            envoy = host.open()
            await envoy.request(case.request)
            await envoy.close()
        else:
            await host.send(case.request, case.response)
