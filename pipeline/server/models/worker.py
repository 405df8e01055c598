"""The process that has the models for the workers of a host, as their supervisor starts it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from pipeline.config.load import check_config, located
from pipeline.config.source import Source, parse_source
from pipeline.errors import ConfigError
from pipeline.inference.assembly import make_own_engines
from pipeline.inference.contract import InferenceError
from pipeline.observability.logs import configure_logs
from pipeline.server.control import Line
from pipeline.server.models.process import ModelsPlace, serve
from pipeline.server.process import run_loop


def main() -> None:
    """Serve the models until the supervisor says stop, or is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=Path)
    parser.add_argument("--index", type=int, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--admin", required=True)
    given = parser.parse_args()
    # Who signals all processes of a service means the supervisor.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run_loop(_work(given.config, given.index, given.address, given.admin))


async def _work(path: Path, index: int, address: str, admin: str) -> None:
    line = await Line.of_stdin()
    first = await line.order()
    if first is None:
        return
    source = Source(str(path), {})
    try:
        # Not from the file, which may be another one by now.
        source = parse_source(first.text, os.environ, file=str(path))
        config = check_config(source)
        telemetry = config.telemetry
        configure_logs(telemetry.log_level, telemetry.log_format, worker=index)
        engines = make_own_engines(config.inference, source.folder)
        # Its callers are workers that know when it stops: they have drained before.
        place = ModelsPlace(
            address, admin, unhealthy_s=0.0, drain_s=config.server.drain, is_shared=True
        )
        await serve(
            engines,
            config.inference,
            place,
            lambda server: line.done(first.attempt, address=server.address),
            _until_gone(line),
        )
    except InferenceError as error:
        problem = source.problem(("inference",), str(error))
        line.failed(first.attempt, ConfigError(problem))
        sys.exit(1)
    except ConfigError as error:
        line.failed(first.attempt, located(error, source))
        sys.exit(1)


async def _until_gone(line: Line) -> None:
    while await line.order() is not None:
        pass  # what changes while the host runs is no business of models


if __name__ == "__main__":
    main()
