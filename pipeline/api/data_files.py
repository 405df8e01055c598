"""Data files in YAML that come with the program: read with libyaml where PyYAML has it."""

from __future__ import annotations

from typing import Any

import yaml

# The same safe loader in C, about six times as fast; wheels of PyYAML have it.
_LOADER: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse_data(text: str) -> Any:
    """Return what a data file says.

    Args:
        text: YAML of our own; a user's goes through `pipeline.config`, which knows lines.
    """
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader
