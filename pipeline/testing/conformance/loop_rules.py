"""The rule about the event loop: no hook blocks it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from pipeline.testing.conformance.subject import NotApplicable, Subject, Violation

_ABSENT = "blockbuster finds calls that block: pip install 'dragoman[testing]'"


class BlocksTheLoop(Exception):
    """Raised in the place of a call that would block the loop."""


async def never_blocks(subject: Subject) -> None:
    """No hook waits on the event loop: for a file, a socket, a lock, or in `time.sleep`.

    One loop serves all exchanges of a process, and a hook that blocks it holds up every client.
    `async` hooks await what they wait for; those of a plugin that declares `blocking` and are plain
    `def` run in threads, where they may wait.
    """
    for case in subject.cases():
        async with subject.host() as host:
            with _blocking_calls(subject.plugin.__module__) as found:
                await host.send(case.request, case.response)
        if found:
            raise Violation(f"{case.name}: it blocks the loop with {', '.join(found)}")


@contextmanager
def _blocking_calls(module: str) -> Iterator[Collection[str]]:
    """Make an error of every call that blocks the loop, and note it: who calls may catch all.

    Args:
        module: the plugin's, whose functions are named.
    """
    try:
        from blockbuster import BlockBuster  # noqa: PLC0415 - an extra
    except ImportError:
        raise NotApplicable(_ABSENT) from None
    found: dict[str, None] = {}
    detector = BlockBuster()
    for function in detector.functions.values():
        function.can_block_predicate = _noting(
            function.full_name,
            function.can_block_predicate,
            function.can_block_functions,
            module.partition(".")[0],
            found,
        )
    detector.activate()
    try:
        yield found
    finally:
        detector.deactivate()


def _noting(
    name: str,
    may_block: Callable[..., bool],
    allowed: Iterable[tuple[str, Iterable[str]]],
    package: str,
    found: dict[str, None],
) -> Callable[..., bool]:
    def check(*arguments: Any, **named: Any) -> bool:
        if may_block(*arguments, **named):
            return True
        frames = list(_frames(sys._getframe(1)))  # noqa: SLF001 - who calls is the question
        for frame in frames:
            file, function = frame.f_code.co_filename.replace("\\", "/"), frame.f_code.co_name
            if any(file.endswith(end) and function in names for end, names in allowed):
                return True
        callers = (
            frame.f_code.co_qualname
            for frame in frames
            if frame.f_globals.get("__name__", "").partition(".")[0] == package
        )
        caller = next(callers, None)
        found[f"{name} in {caller}" if caller else name] = None
        raise BlocksTheLoop(name)

    return check


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
