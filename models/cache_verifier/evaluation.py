"""`python -m models.cache_verifier.evaluation`: the shipped verifiers on data never seen."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.cache_stream.figures import BUDGETS, Report, measure
from models.cache_stream.intervals import clopper_pearson
from models.cache_stream.replay import Outcome
from models.cache_stream.streams import LENGTH, SEEDS, clinc_streams, full_streams
from models.cache_verifier.judging import (
    Judged,
    Labelled,
    Scorer,
    area,
    area_interval,
    best_of_each,
    realised,
)
from models.cache_verifier.lookups import Candidates, candidates, outcomes
from models.cache_verifier.scoring import Readings
from models.cache_verifier.splits import HELD_BACK, pairs
from models.cache_verifier.vectors import embedded
from models.data.files import data_folder
from models.tiny.building import CACHE
from plugins.semantic_cache.verifying import load_verifier, starting_threshold
from plugins.semantic_cache.verifying.trained import TrainedVerifier

TIERS = ("small", "tiny")
Streams = list[tuple[Candidates, NDArray[np.float64]]]
_BUDGET = 0.01
_ORDERS = 100
_SHADOW = 0.1
_GRID = 1 - np.geomspace(3e-3, 0.5, 60)
_CLASSES = ("negation", "number", "entity", "role", "time", "comparison", "modifier")


def evaluate(console: Console, tiers: Sequence[str], cache: Path) -> None:
    """Print all tables.

    Args:
        console: to print on.
        tiers: which ones.
        cache: folder that keeps embeddings.
    """
    data = data_folder()
    parts = pairs(data)
    every = [pair for part in parts.values() for pair in part]
    calibration, test = clinc_streams(data)
    full = full_streams(data)
    readings = Readings()
    for tier in tiers:
        verifier = load_verifier(tier)
        if not isinstance(verifier, TrainedVerifier):
            raise SystemExit(f"no verifier of {tier}: run python -m models.cache_verifier")
        scorer = Scorer(verifier, readings)
        vectors = embedded(tier, data, every, cache)
        plain = measure(
            lambda texts: np.stack([vectors[text] for text in texts]),  # noqa: B023 - called here
            calibration, test, full,
        )  # fmt: skip
        streams = []
        for one in test:
            found = candidates(one, np.stack([vectors[text] for text in one.texts]))
            streams.append((found, scorer.chances(found.pairs())))
        console.print(stream_table(tier, plain, verifier, streams))
        judged = scorer.judge(parts["test"], vectors)
        calibrating = scorer.judge(parts["calibration"], vectors)
        console.print(template_table(tier, verifier, judged))
        console.print(pairs_table(tier, verifier, judged, calibrating))
        console.print(requested_table(tier, verifier, streams, judged, calibrating))
        console.print(bound_table(tier, verifier, streams, judged))


def stream_table(tier: str, plain: Report, verifier: TrainedVerifier, streams: Streams) -> Table:
    """Return hits and wrong hits of the CLINC150 stream, plain cosine beside the verifier."""
    table = _table(
        f"CLINC150 stream, {tier}: {len(SEEDS)} seeds of {LENGTH:,} requests, texts never seen",
        ("hits", "wrong/hits", "wrong/all"),
    )
    _stream_row(table, "exact match", plain.exact)
    at = plain.figure(_BUDGET)
    _stream_row(table, "cosine, best in hindsight, all texts", at.full)
    _stream_row(table, "cosine, best in hindsight", at.hindsight)
    _stream_row(table, "cosine, calibrated", at.test)
    found = outcomes(streams, _GRID.tolist())
    best = [one for one in found if one.hits and one.wrong_of_hits <= _BUDGET]
    _stream_row(
        table, "verifier, best in hindsight",
        max(best, key=lambda one: one.hits, default=Outcome(0, 0, 0)),
    )  # fmt: skip
    for budget in BUDGETS:
        (at_budget,) = outcomes(streams, [verifier.threshold(budget)])
        _stream_row(table, f"verifier, budget {budget:.1%}", at_budget)
    _stream_row(table, "oracle", plain.oracle)
    return table


def template_table(tier: str, verifier: TrainedVerifier, judged: Judged) -> Table:
    """Return the area on held-back template tests, and what is served by failure class."""
    templates = judged.part([pair.source == "checklist" for pair in judged.pairs])
    table = _table(
        f"Held-back template tests, {tier}: area under ROC; pairs served at a budget of 1 %",
        ("value", "low", "high", "pairs"),
    )
    for name, scores in (
        ("area, cosine", templates.cosines),
        ("area, verifier", templates.probabilities),
    ):
        low, high = area_interval(scores, templates.serves)
        value = area(scores, templates.serves)
        table.add_row(name, *_numbers(value, low, high), str(len(templates.pairs)))
    threshold = verifier.threshold(_BUDGET)
    for name in _CLASSES:
        of_class = judged.part([_class(pair.source, pair.kind) == name for pair in judged.pairs])
        for serves, said in ((False, "wrong ones served"), (True, "true ones served")):
            some = of_class.part(of_class.serves == serves)
            _share_row(table, f"{name}, {said}", some, threshold)
    return table


def pairs_table(tier: str, verifier: TrainedVerifier, judged: Judged, calibrating: Judged) -> Table:
    """Return true pairs served of GSM8K, Advising and of the negations."""
    table = _table(
        f"Pairs, {tier}: the shipped threshold of 1 %, and one re-fitted on other questions",
        ("threshold", "true pairs served", "wrong/hits", "hits", "area"),
    )
    for source in ("gsm8k", "advising", "cannot"):
        some = judged.part([pair.source == source for pair in judged.pairs])
        known = calibrating.part([pair.source == source for pair in calibrating.pairs])
        thresholds = [("shipped", verifier.threshold(_BUDGET))]
        if known.pairs:
            thresholds.append(("re-fitted", known.own_threshold(_BUDGET)))
        thresholds.append(("best in hindsight", some.best_threshold(_BUDGET)))
        for name, threshold in thresholds:
            found = some.outcome(threshold)
            table.add_row(
                f"{source}, {name}",
                f"{threshold:.4f}",
                _rate(found.hits - found.wrong, int(some.serves.sum())),
                _rate(found.wrong, found.hits),
                str(found.hits),
                f"{area(some.probabilities, some.serves):.3f}",
            )
    return table


def requested_table(
    tier: str,
    verifier: TrainedVerifier,
    streams: Streams,
    judged: Judged,
    calibrating: Judged,
) -> Table:
    """Return requested and achieved error, in domain and where another set calibrated."""
    table = _table(
        f"Requested and achieved wrong/hits, {tier} (hits)",
        tuple(f"{budget:.1%}" for budget in BUDGETS),
    )
    dialogue = ("gsm8k", "advising")
    pairs_test = judged.part([pair.source in dialogue for pair in judged.pairs])
    templates = judged.part([pair.source == "checklist" for pair in judged.pairs])
    own = [calibrating.own_threshold(budget) for budget in BUDGETS]
    shipped = [verifier.threshold(budget) for budget in BUDGETS]
    table.add_row("in domain: CLINC150", *map(_achieved, outcomes(streams, shipped)))
    table.add_row("in domain: GSM8K, Advising", *(_achieved(pairs_test.outcome(t)) for t in own))
    table.add_row(
        "shifted: CLINC150 to GSM8K, Advising",
        *(_achieved(pairs_test.outcome(t)) for t in shipped),
    )
    table.add_row(
        "shifted: CLINC150 to templates", *(_achieved(templates.outcome(t)) for t in shipped)
    )
    table.add_row("shifted: GSM8K, Advising to CLINC150", *map(_achieved, outcomes(streams, own)))
    return table


def bound_table(tier: str, verifier: TrainedVerifier, streams: Streams, judged: Judged) -> Table:
    """Return how often the adaptive bound keeps its budget, over random orders."""
    table = _table(
        f"Adaptive bound, {tier}: {_ORDERS} random orders, {_SHADOW:.0%} of hits labelled",
        ("orders within", "mean wrong/hits", "worst", "mean hits", "fixed: wrong/hits, hits"),
    )
    templates = [pair.source != "cannot" for pair in judged.pairs]
    shifted = judged.part(templates)
    sets: dict[str, Labelled] = {
        "CLINC150": best_of_each(*streams[0]),
        "shifted: all held-back pairs": list(
            zip(shifted.probabilities.tolist(), shifted.serves.tolist(), strict=True)
        ),
    }
    for name, labelled in sets.items():
        for budget in (0.01, 0.02, 0.05):
            threshold = starting_threshold(verifier, budget)
            found = [realised(labelled, budget, threshold, _SHADOW, at) for at in range(_ORDERS)]
            errors = [one.wrong_of_hits for one in found]
            served = [serves for probability, serves in labelled if probability >= threshold]
            fixed = Outcome(len(labelled), len(served), len(served) - sum(served))
            table.add_row(
                f"{name}, {budget:.0%}",
                f"{sum(error <= budget for error in errors)} of {_ORDERS}",
                f"{np.mean(errors):.4f}",
                f"{max(errors):.4f}",
                f"{np.mean([one.hit_rate for one in found]):.3f}",
                f"{fixed.wrong_of_hits:.4f}, {fixed.hit_rate:.3f}",
            )
    return table


def _class(source: str, kind: str) -> str:
    if source in {"gsm8k", "advising"}:
        return "number"
    return HELD_BACK.get(kind, "")


def _achieved(found: Outcome) -> str:
    return f"{found.wrong_of_hits:.2%} ({found.hits:,})" if found.hits else "none"


def _stream_row(table: Table, name: str, found: Outcome) -> None:
    table.add_row(
        name,
        _rate(found.hits, found.requests),
        _rate(found.wrong, found.hits),
        f"{found.wrong_of_all:.4f}",
    )


def _share_row(table: Table, name: str, some: Judged, threshold: float) -> None:
    if not some.pairs:
        return
    served = some.outcome(threshold).hits
    low, high = clopper_pearson(served, len(some.pairs))
    table.add_row(name, *_numbers(served / len(some.pairs), low, high), str(len(some.pairs)))


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=f"{title} (95 % intervals)", title_justify="left")
    table.add_column("")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def _rate(events: int, trials: int) -> str:
    low, high = clopper_pearson(events, trials)
    return f"{events / trials if trials else 0:.4f} [{low:.4f}, {high:.4f}]"


def _numbers(*values: float) -> list[str]:
    return [f"{value:.4f}" for value in values]


def main() -> None:
    """Print the tables of the tiers that are named, of both without names."""
    parser = argparse.ArgumentParser(
        prog="python -m models.cache_verifier.evaluation", description=__doc__
    )
    parser.add_argument("tiers", nargs="*", choices=[[], *TIERS], default=[])
    parser.add_argument("--cache", type=Path, default=CACHE, help="keeps the embeddings")
    arguments = parser.parse_args()
    evaluate(Console(width=150), arguments.tiers or TIERS, arguments.cache)


if __name__ == "__main__":
    main()
