"""`python -m models.evaluation [tiny] [small]`: print how good the shipped heads are."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from models.data.corpus import corpus
from models.data.domains import topics
from models.evaluation.baseline import baseline
from models.evaluation.domains import about
from models.evaluation.figures import Figure
from models.evaluation.guards import acting, deep, disguised, ranking, score
from models.guard.assembling import Tier
from models.guard.scoring import shipped

TIERS: tuple[Tier, ...] = ("tiny", "small")
_DISGUISED = 60
_DEEP = 40


def figures(tiers: Sequence[Tier] = TIERS) -> list[Figure]:
    """Return all figures of some tiers, and of the baseline.

    Args:
        tiers: which ones.
    """
    parts, labelled = corpus(), topics()["test"]
    test = parts["test"]
    found = ranking("tfidf", test, baseline(parts["train"], test))
    for tier in tiers:
        model = shipped(tier)
        scores = score(model, [one.text for one in test])
        found += ranking(tier, test, scores.chances)
        found += acting(tier, model, test, scores)
        found += disguised(tier, model, test, _DISGUISED)
        found += deep(tier, model, test, _DEEP)
        found += about(tier, model, labelled)
    return found


def print_figures(console: Console, found: Sequence[Figure]) -> None:
    """Print figures as a table.

    Args:
        console: where to.
        found: what to print.
    """
    table = Table(title="Heads on held-back sources (95 % intervals)", title_justify="left")
    table.add_column("")
    for heading in ("value", "low", "high", "goal", "holds"):
        table.add_column(heading, justify="right")
    for one in found:
        goal = "" if one.target is None else f"≥ {one.target}"
        holds = "" if one.target is None else "yes" if one.value >= one.target else "no"
        numbers = (f"{number:.4f}" for number in (one.value, one.low, one.high))
        table.add_row(one.name, *numbers, goal, holds)
    console.print(table)


def main() -> None:
    """Print the figures of the tiers that are named, of both without names."""
    parser = argparse.ArgumentParser(prog="python -m models.evaluation", description=__doc__)
    parser.add_argument("tiers", nargs="*", choices=[[], *TIERS], default=[])
    print_figures(Console(width=120), figures(parser.parse_args().tiers or TIERS))


if __name__ == "__main__":
    main()
