"""What it costs to start: imports, and the host until it is ready."""

from __future__ import annotations

import subprocess
import sys
import time


def import_ms(module_name: str, rounds: int) -> float:
    """Return what importing a module adds to a bare interpreter, the least of several tries."""
    bare_ms, with_ms = [], []
    for _ in range(rounds):
        bare_ms.append(_run_ms("pass"))
        with_ms.append(_run_ms(f"import {module_name}"))
    return min(with_ms) - min(bare_ms)


def _run_ms(code: str) -> float:
    start_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - start_s) * 1000
