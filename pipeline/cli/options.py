"""Options that several commands have, and the config that they name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pipeline.host.runtime import Runtime

CONFIG_VARIABLE = "DRAGOMAN_CONFIG"
DEFAULT_CONFIG = Path("dragoman.yaml")

ConfigPath = Annotated[
    Path, typer.Option("--config", envvar=CONFIG_VARIABLE, help="The config file.", metavar="PATH")
]
ModelsConfigPath = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar=CONFIG_VARIABLE,
        help="The config file, whose `inference` section holds; `dragoman.yaml` where there is "
        "one, else the defaults.",
        metavar="PATH",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def default_config() -> Path:
    """Return the config that a command without `--config` means."""
    return Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)


@contextmanager
def compiled(path: Path) -> Iterator[Runtime]:
    """Load and compile a config, for a command that starts none of its plugins.

    Raises:
        ConfigError: with every problem found.
    """
    from pipeline.config.load import load_config
    from pipeline.host.compile import compile_config

    runtime = compile_config(*load_config(path, os.environ))
    try:
        yield runtime
    finally:
        runtime.pool.shutdown(wait=False)
