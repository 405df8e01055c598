"""`python -m bench.evaluate`: how well the shipped models decide, on sources kept from training."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from bench.measure import Estimate
from bench.report import Row, print_targets, write_rows
from models.data.files import VARIABLE, has_data
from models.evaluation.__main__ import figures

OUTPUT = Path("build/eval.json")


def rows() -> list[Row]:
    """Return the figures of the shipped heads and of their baseline."""
    return [
        Row(
            f"heads.{one.name}",
            one.value,
            "share",
            one.target,
            Estimate(one.value, one.low, one.high),
            at_least=True,
        )
        for one in figures()
    ]


def main() -> None:
    """Print the quality figures and write `build/eval.json`."""
    console = Console()
    if not has_data():
        console.print(f"Nothing to evaluate on: ${VARIABLE} names where the material is.")
        return
    found = rows()
    print_targets(console, found)
    write_rows(OUTPUT, found)


if __name__ == "__main__":
    main()
