"""`python -m models`: make every model again, from the training material and fixed seeds."""

from __future__ import annotations

import subprocess
import sys

STEPS = (
    ("models.tiny", "the tiny tier's embedding"),
    ("models.export", "the small tier's int8 trunk"),
    ("models.routing", "the complexity heads"),
    ("models.guard", "the guard and domain heads, calibration and manifests"),
    ("models.cache_verifier", "the semantic cache's verifier"),
)


def main() -> None:
    """Run each step; the first that fails ends it."""
    for module, what in STEPS:
        print(f"{module}: {what}", flush=True)
        subprocess.run([sys.executable, "-m", module], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
