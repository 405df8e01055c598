"""A worker: one host process of several, as its supervisor starts it."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from pipeline.config.load import check_config
from pipeline.config.source import Source, parse_source
from pipeline.config.workers import worker_addresses
from pipeline.errors import ConfigError, Problem
from pipeline.host.compile import compile_config
from pipeline.observability.logs import configure_logs, get_logger
from pipeline.server.control import Line, Order
from pipeline.server.process import HostProcess, Place, Prepared, run_loop, settle
from pipeline.server.signals import serve_until_signal


def main() -> None:
    """Serve as the supervisor says until it says stop, or is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--admin", required=True)
    parser.add_argument("--unhealthy-s", type=float, required=True)
    parser.add_argument("--models")
    given = parser.parse_args()
    # Who signals all processes of a service means the supervisor.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run_loop(_work(given.config, given.index, given.admin, given.unhealthy_s, given.models))


async def _work(path: Path, index: int, admin: str, unhealthy_s: float, models: str | None) -> None:
    line = await Line.of_stdin()
    order = await line.order()
    if order is None:
        return
    first = order
    try:
        # Not from the file, which may be another one by now.
        source = _source(path, first)
        config = check_config(source)
        telemetry, server = config.telemetry, config.server
        configure_logs(telemetry.log_level, telemetry.log_format, worker=index)
        address = worker_addresses(server.address, server.workers)[index]
        place = Place(address, admin, unhealthy_s, models)
        runtime = compile_config(config, source, node=models)
        process = HostProcess(runtime, place, generation=first.generation)

        def started() -> None:
            settle()
            line.done(first.attempt, address=process.address)

        orphaned = asyncio.ensure_future(_obey(line, path, process))
        await serve_until_signal(process, started, orphaned)
    except ConfigError as error:
        line.failed(first.attempt, error)
        sys.exit(1)


async def _obey(line: Line, path: Path, process: HostProcess) -> None:
    """Change the config as the supervisor says, until it is gone."""
    prepared: Prepared | None = None
    while (order := await line.order()) is not None:
        match order.do:
            case "prepare":
                try:
                    source = _source(path, order)
                    config = check_config(source)
                    prepared = await process.prepare(config, source)
                    line.done(order.attempt, changes=tuple(prepared.changes))
                except ConfigError as error:
                    line.failed(order.attempt, error)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is to be told
                    get_logger().error("a reload failed", exc_info=error)
                    problem = Problem("", f"the reload failed: {type(error).__name__}", str(path))
                    line.failed(order.attempt, ConfigError(problem))
            case "commit" if prepared is not None:
                await process.commit(
                    prepared, order.generation, order.loaded_at_s, is_told=order.is_told
                )
                prepared = None
                line.done(order.attempt)
            case "abort" if prepared is not None:
                await prepared.runtime.shutdown()
                prepared = None
            case "follow":
                process.envoy_followed()
            case _:  # nothing was prepared
                pass


def _source(path: Path, order: Order) -> Source:
    return parse_source(order.text, os.environ, file=str(path))


if __name__ == "__main__":
    main()
