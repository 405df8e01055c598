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

from tests.fuzz.campaign import NAMES, inputs, load, write_dictionary

_PROCESSES = 2
_CRASHES = Path("build/fuzz")
_SEED = os.environ.get("FUZZ_SEED", "1")
# The same code should get the same verdict twice: a fixed seed, sets and files in a fixed order,
# and no hints from compared values, which libFuzzer keeps by address. What is left to chance is
# how many inputs fit into the time.
_REPEATABLE = () if _SEED == "0" else ("-reload=0", "-use_cmp=0")
# A unit takes milliseconds: two minutes are a loop without an end, and no busy machine.
_LIMITS = ("-max_len=4096", "-timeout=120", "-report_slow_units=120", "-rss_limit_mb=1024")
_SAYS = ("-verbosity=0", "-print_final_stats=1")


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
        dictionary, seeds, found = (Path(folder, of) for of in ("dictionary", "seeds", "corpus"))
        write_dictionary(load(name), dictionary)
        # Not the folder: its order is the file system's.
        seeds.write_text(",".join(map(os.path.relpath, inputs(name))), encoding="utf-8")
        found.mkdir()
        command = [
            *(sys.executable, "-m", "tests.fuzz.worker", name, *_SAYS, *_LIMITS),
            *(f"-seed={_SEED}", *_REPEATABLE, f"-max_total_time={max(1, round(seconds))}"),
            *(f"-dict={dictionary}", f"-seed_inputs=@{seeds}"),
            *(f"-artifact_prefix={_CRASHES}/{name}-", str(found)),
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
        kept = len(list(found.iterdir()))
    said = [line for line in done.stdout.splitlines() if not line.startswith("INFO: Instr")]
    if done.returncode == 0:
        counted = "stat::number_of_executed_units:"
        tried = sum(int(line.removeprefix(counted)) for line in said if line.startswith(counted))
        print(f"fuzz: {name}: nothing found in {tried} inputs ({kept} kept)", flush=True)
        return ""
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
