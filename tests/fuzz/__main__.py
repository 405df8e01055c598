"""Runs the fuzz targets: `python -m tests.fuzz [TARGET …]`; `FUZZ_S` seconds for all together,
`FUZZ_SEED` for other inputs than CI's (0 is a new one each time).

A crash leaves its input in `build/fuzz` and the command that replays it on the screen.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.campaign import CORPUS, NAMES, load, write_dictionary

_PROCESSES = 2
_CRASHES = Path("build/fuzz")
# The same code should get the same verdict twice: a fixed seed, and sets in a fixed order. What is
# left to chance is how many inputs fit into the time.
_SEED = f"-seed={os.environ.get('FUZZ_SEED', '1')}"
_LIMITS = ("-max_len=4096", "-timeout=20", "-rss_limit_mb=1024", "-verbosity=0")


def main(names: list[str]) -> int:
    """Run targets, two at a time, and return the exit status."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        print(f"there is no target {', '.join(unknown)}; there are {', '.join(NAMES)}")
        return 2
    if sys.implementation.name != "cpython" or not _has_atheris():
        print("fuzz: atheris is not installed here; the tests replay the corpus all the same")
        return 0
    chosen = names or list(NAMES)
    seconds = float(os.environ.get("FUZZ_S", "60")) * _PROCESSES / len(chosen)
    _CRASHES.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_PROCESSES) as pool:
        failed = [name for name in pool.map(lambda name: _run(name, seconds), chosen) if name]
    return 1 if failed else 0


def _run(name: str, seconds: float) -> str:
    """Run one target; return its name where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        dictionary, found = Path(folder, "dictionary"), Path(folder, "corpus")
        write_dictionary(load(name), dictionary)
        found.mkdir()
        command = [
            *(sys.executable, "-m", "tests.fuzz.worker", name, _SEED, *_LIMITS),
            *(f"-max_total_time={max(1, round(seconds))}", f"-dict={dictionary}"),
            *(f"-artifact_prefix={_CRASHES}/{name}-", str(found), str(CORPUS / name)),
        ]
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        count = len(list(found.iterdir()))
    if done.returncode == 0:
        print(f"fuzz: {name}: nothing found ({count} new inputs)", flush=True)
        return ""
    said = [line for line in done.stdout.splitlines() if not line.startswith("INFO: Instr")]
    marker = "Test unit written to "
    written = [line.rpartition(marker)[2] for line in said if marker in line]
    replay = f"{sys.executable} -m tests.fuzz.replay {name} {' '.join(written)}"
    print("\n".join([*said[-40:], f"fuzz: {name} FAILED; replay it: {replay}"]), flush=True)
    return name


def _has_atheris() -> bool:
    from importlib.util import find_spec

    return find_spec("atheris") is not None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
