"""A worker: one host process of several, as its supervisor starts it."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from pipeline.config.load import load_config
from pipeline.config.workers import worker_addresses
from pipeline.errors import ConfigError
from pipeline.host.compile import compile_config
from pipeline.observability.logs import configure_logs
from pipeline.server.control import Line
from pipeline.server.process import HostProcess, Place, run_loop, settle
from pipeline.server.signals import serve_until_signal


def main() -> None:
    """Serve as the supervisor says until it says stop, or is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--admin", required=True)
    parser.add_argument("--unhealthy-s", type=float, required=True)
    given = parser.parse_args()
    run_loop(_work(given.config, given.index, given.admin, given.unhealthy_s))


async def _work(path: Path, index: int, admin: str, unhealthy_s: float) -> None:
    line = await Line.of_stdin()
    try:
        config, source = load_config(path, os.environ)
        telemetry, server = config.telemetry, config.server
        configure_logs(telemetry.log_level, telemetry.log_format, worker=index)
        runtime = compile_config(config, source)
        address = worker_addresses(server.address, server.workers)[index]
        process = HostProcess(runtime, Place(address, admin, unhealthy_s))

        def started() -> None:
            settle()
            line.serving(process.address)

        await serve_until_signal(process, started, asyncio.ensure_future(line.lost()))
    except ConfigError as error:
        line.failed(error)
        sys.exit(1)


if __name__ == "__main__":
    main()
