"""`dragoman serve`: the host alone, for an Envoy that somebody else runs."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.server.process import compile_file, run_loop


def serve(config: Path) -> None:
    """Serve ext_proc for a config until SIGTERM.

    Args:
        config: path of the config file.

    Raises:
        ConfigError: the config cannot be used.
    """
    run_loop(compile_file(config, os.environ))
