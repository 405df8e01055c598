"""`dragoman serve`: the host alone, for an Envoy that somebody else runs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pipeline.config.load import load_config


def serve(path: Path) -> None:
    """Serve ext_proc for a config until SIGTERM.

    Args:
        path: of the config file.

    Raises:
        ConfigError: the config cannot be used.
        WorkerFailed: a worker ended before it was ready.
    """
    config, source = load_config(path, os.environ)
    if config.server.workers > 1:
        # What the supervisor imports has no gRPC in it.
        from pipeline.server.supervisor import serve_workers

        asyncio.run(serve_workers(config, source, path))
    else:
        from pipeline.host.compile import compile_config
        from pipeline.server.process import run_loop
        from pipeline.server.process import serve as serve_here

        run_loop(serve_here(compile_config(config, source), path))
