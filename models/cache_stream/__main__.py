"""`python -m models.cache_stream`: hits of a semantic cache on the CLINC150 stream, by embedder."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from models.cache_stream.embedders import named
from models.cache_stream.figures import BUDGETS, Report, measure
from models.cache_stream.intervals import clopper_pearson
from models.cache_stream.replay import Outcome
from models.cache_stream.streams import LENGTH, SEEDS, clinc_streams, full_streams
from models.data.files import data_folder
from models.tiny.building import CACHE


def reports(names: list[str], cache: Path) -> dict[str, Report]:
    """Return what was measured of embedders, by name.

    Args:
        names: of `embedders.named`.
        cache: folder of the trunk's embeddings.
    """
    calibration, test = clinc_streams(data_folder())
    full = full_streams(data_folder())
    makers = named(cache)
    return {name: measure(makers[name](), calibration, test, full) for name in names}


def print_reports(console: Console, found: dict[str, Report]) -> None:
    """Print a line by embedder and budget, and the baselines that need no embedder.

    The last two columns are hits at the threshold that is best in hindsight: on the test streams,
    and on streams of all texts.
    """
    title = f"CLINC150 stream: {len(SEEDS)} seeds, {LENGTH:,} requests each (95 % intervals)"
    table = Table(title=title, title_justify="left")
    headings = ("budget", "threshold", "hits", "wrong/hits", "wrong/all", "hindsight", "all texts")
    table.add_column("")
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, report in found.items():
        for budget in BUDGETS:
            figure = report.figure(budget)
            table.add_row(
                name if budget == BUDGETS[0] else "",
                f"{budget:.1%}",
                f"{figure.threshold:.3f}",
                _rate(figure.test.hits, figure.test.requests),
                _rate(figure.test.wrong, figure.test.hits) if figure.supported else "few hits",
                f"{figure.test.wrong_of_all:.2%}",
                f"{figure.hindsight.hit_rate:.3f}",
                f"{figure.full.hit_rate:.3f}",
            )
    some = next(iter(found.values()))
    for name, outcome in (("exact match", some.exact), ("oracle", some.oracle)):
        table.add_row(
            name, "", "", _rate(outcome.hits, outcome.requests), _wrong(outcome), *[""] * 3
        )
    console.print(table)


def evaluate(console: Console, cache: Path = CACHE) -> None:
    """Print the hits of both tiers, and of what they are made from.

    Args:
        console: to print on.
        cache: folder of the trunk's embeddings.
    """
    print_reports(console, reports(["small", "tiny", "trunk", "plain_static"], cache))


def _rate(events: int, trials: int) -> str:
    low, high = clopper_pearson(events, trials)
    return f"{events / trials if trials else 0:.4f} [{low:.4f}, {high:.4f}]"


def _wrong(outcome: Outcome) -> str:
    return f"{outcome.wrong_of_hits:.4f}"


def main() -> None:
    """Measure the embedders that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("embedders", nargs="*", help="tiny, small, trunk, plain_static")
    parser.add_argument("--cache", type=Path, default=CACHE, help="keeps the trunk's embeddings")
    arguments = parser.parse_args()
    names = arguments.embedders or ["tiny", "plain_static", "trunk"]
    print_reports(Console(width=150), reports(names, arguments.cache))


if __name__ == "__main__":
    main()
