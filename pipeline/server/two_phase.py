"""The two-phase reload: every worker prepares a config, and all of them serve with it or none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from pipeline.config.source import Source
from pipeline.errors import ConfigError, Problem
from pipeline.server.control import Order, Report
from pipeline.server.supervised import Worker

# A worker gives up a little earlier, and says why.
_WITHIN_S = 630.0


async def reload_workers(workers: Sequence[Worker], order: Order, source: Source) -> list[str]:
    """Let workers serve with another config.

    A worker that ends in between, or is about to start, follows by itself once it serves: what
    holds is the config that the others have committed.

    Args:
        workers: all of them.
        order: what one starts with from now on.
        source: the config's document, for messages.

    Returns:
        what must change in Envoy's configuration.

    Raises:
        ConfigError: a worker cannot use the config, and all go on with the one before.
    """
    try:
        async with asyncio.timeout(_WITHIN_S):
            reports = await asyncio.gather(*(worker.prepare(order) for worker in workers))
        _raise_any(reports, source)
    except BaseException as error:
        for worker in workers:
            worker.abort(order)
        if isinstance(error, TimeoutError):
            raise ConfigError(_problem(source, "the workers take too long over it")) from None
        raise
    for worker in workers:
        worker.order = order
    prepared = [w for w, report in zip(workers, reports, strict=True) if report is not None]
    await asyncio.gather(*(worker.commit(order) for worker in prepared))
    await asyncio.gather(*(w.catch_up() for w in workers if w.state == "serving"))
    return next((list(report.changes) for report in reports if report is not None), [])


def _raise_any(reports: Iterable[Report | None], source: Source) -> None:
    given = [report for report in reports if report is not None]
    if not given:
        raise ConfigError(_problem(source, "no worker is there to check the config"))
    # Most often all of them find the same.
    problems = dict.fromkeys(problem for report in given for problem in report.problems)
    if problems:
        raise ConfigError(*problems)


def _problem(source: Source, message: str) -> Problem:
    return Problem("", message, source.file)
