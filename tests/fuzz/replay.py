"""Puts files through a target, without a fuzzer: `python -m tests.fuzz.replay TARGET FILE …`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.fuzz.campaign import inputs, load


def main(name: str, files: list[str]) -> None:
    """Check files, or the whole corpus of a target; the first fault is raised."""
    target = load(name)
    for file in [Path(one) for one in files] or inputs(name):
        print(file, flush=True)
        target.check(file.read_bytes())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
