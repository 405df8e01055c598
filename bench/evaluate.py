"""`python -m bench.evaluate`: how well plugins decide. The host decides nothing by itself."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from bench.report import Row, print_targets, write_rows

OUTPUT = Path("build/eval.json")


def main() -> None:
    """Print the quality figures and write `build/eval.json`."""
    console = Console()
    rows: list[Row] = []
    print_targets(console, rows)
    console.print("No plugin that ships today has a quality to evaluate: they follow their config.")
    write_rows(OUTPUT, rows)


if __name__ == "__main__":
    main()
