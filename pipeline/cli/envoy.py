"""`dragoman envoy`: Envoy's configuration for the config."""

from __future__ import annotations

from pathlib import Path

import typer

from pipeline.cli.options import compiled
from pipeline.cli.output import print_json
from pipeline.envoy import bootstrap


def envoy(path: Path, *, snippet: bool, as_json: bool) -> None:
    """Print it.

    Args:
        path: the config file.
        snippet: only what joins somebody's own Envoy.
        as_json: JSON instead of YAML.
    """
    with compiled(path) as runtime:
        if snippet:
            document = bootstrap.snippet(runtime.config, runtime.plans)
        else:
            document = bootstrap.bootstrap(runtime.config, runtime.plans)
    if as_json:
        print_json(document)
    else:
        typer.echo(bootstrap.to_yaml(document), nl=False)
