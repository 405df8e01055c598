"""`python -m models.routing [tiny] [small]`: fit the complexity heads, and measure."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from safetensors.numpy import save_file

from models.routing.evaluating import DataSet, Split, held_out, lines
from models.routing.protocol import Floats, expected_calibration_error
from models.routing.reading import Tier, data_sets
from models.routing.scorer import Scorer, fit, platt, sigmoid
from models.tiny.building import CACHE
from pipeline.inference.manifest import CalibrationEntry, HeadEntry

FOLDER = Path(__file__).parent
TIERS: tuple[Tier, ...] = ("tiny", "small")
SPLITS: tuple[Split, ...] = ("random", "category")


def train(tier: Tier, found: Sequence[DataSet]) -> HeadEntry:
    """Fit a tier's head to all questions, calibrate it on folds, and write both.

    Args:
        tier: of the embeddings.
        found: the data sets.
    """
    everything = [one.part(np.ones(len(one.questions), bool)) for one in found]
    about, looks, wanted = zip(*everything, strict=True)
    scorer = fit(about, looks, wanted)
    scores = [held_out(one, _others(found, one), "random") for one in found]
    scale, bias = platt(np.concatenate(scores), np.concatenate(wanted))
    weights = FOLDER / f"{tier}.safetensors"
    save_file(_tensors(scorer), weights)
    weights.chmod(0o644)
    entry = HeadEntry(
        name="complexity",
        kind="score",
        pooling="mean",
        calibration=CalibrationEntry(scale=round(scale, 6), bias=round(bias, 6)),
    )
    said = entry.model_dump(mode="json", exclude_defaults=True)
    (FOLDER / f"{tier}.json").write_text(json.dumps(said, indent=2) + "\n", "utf-8")
    return entry


def print_quality(console: Console, tier: Tier, found: Sequence[DataSet]) -> None:
    """Print a table by data set and split: the head, its baselines, its calibration.

    Args:
        console: to print on.
        tier: of the embeddings.
        found: the data sets.
    """
    scores = {
        split: [held_out(one, _others(found, one), split) for one in found] for split in SPLITS
    }
    wanted = np.concatenate([one.questions.suffices for one in found])
    scale, bias = platt(np.concatenate(scores["random"]), wanted)
    for at, one in enumerate(found):
        for split in SPLITS:
            chance: Floats = sigmoid(scale * scores[split][at] + bias)
            gap = expected_calibration_error(chance, one.questions.suffices)
            questions = one.questions
            table = Table(
                title=f"complexity, {tier}: {questions.name}, {split} held out; weak model "
                f"{questions.weak.mean():.3f}, strong {questions.strong.mean():.3f}; "
                f"calibration error of the head {gap:.3f}",
                title_justify="left",
            )
            table.add_column("")
            headings = ("APGR", "95 %", "CPT50", "CPT80", "CPT95", "calls for 95 %", "for 99 %")
            for heading in headings:
                table.add_column(heading, justify="right")
            for line in lines(one, _others(found, one), split):
                table.add_row(
                    line.router,
                    f"{line.curve.apgr:.3f}",
                    f"{line.low:.3f} to {line.high:.3f}",
                    *(f"{line.curve.cpt(part):.2f}" for part in (0.5, 0.8, 0.95)),
                    *(f"{line.curve.share_for(part):.2f}" for part in (0.95, 0.99)),
                )
            console.print(table)


def evaluate(console: Console, cache: Path = CACHE) -> None:
    """Print what the heads are worth, of both tiers.

    Args:
        console: to print on.
        cache: folder that keeps the small tier's embeddings.
    """
    for tier in TIERS:
        print_quality(console, tier, data_sets(tier, cache))


def _others(found: Sequence[DataSet], but: DataSet) -> list[DataSet]:
    return [one for one in found if one is not but]


def _tensors(scorer: Scorer) -> dict[str, NDArray[np.float32]]:
    """Return the head's weights, for the embedding and the numbers beside a text."""
    weight = np.concatenate([scorer.about, scorer.looks])
    return {
        "complexity.0.weight": weight[None].astype(np.float32),
        "complexity.0.bias": np.array([-scorer.shift], np.float32),
    }


def main() -> None:
    """Train the tiers that are named, both without names."""
    parser = argparse.ArgumentParser(prog="python -m models.routing", description=__doc__)
    parser.add_argument("tiers", nargs="*", choices=[[], *TIERS], default=[])
    parser.add_argument("--cache", type=Path, default=CACHE, help="keeps the small embeddings")
    parser.add_argument("--only-measure", action="store_true", help="leave the weights as they are")
    arguments = parser.parse_args()
    for tier in arguments.tiers or TIERS:
        found = data_sets(tier, arguments.cache)
        if not arguments.only_measure:
            train(tier, found)
        print_quality(Console(width=150), tier, found)


if __name__ == "__main__":
    main()
