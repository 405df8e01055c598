"""`python -m models.cache_verifier`: train both tiers' verifiers, write weights and manifest."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from models.cache_verifier.scoring import Comparing, Readings
from models.cache_verifier.splits import clinc_parts, pairs, texts_of
from models.cache_verifier.training import Calibrated, Fold, table_bytes, train
from models.cache_verifier.vectors import embedded
from models.cache_verifier.wordtable import learn, start_table
from models.data.files import data_folder
from models.tiny.building import CACHE
from plugins.semantic_cache.verifying.features import NAMES
from plugins.semantic_cache.verifying.loading import KINDS
from plugins.semantic_cache.verifying.trees import Trees

FOLDER = Path(__file__).parent
TIERS = ("small", "tiny")
_WORDS = "words.npz"


def build(cache: Path, folder: Path = FOLDER) -> None:
    """Train both tiers and write what is shipped.

    Args:
        cache: folder that keeps embeddings.
        folder: of the weights.
    """
    begun = time.monotonic()
    data = data_folder()
    first, second, _ = clinc_parts(data)
    parts = pairs(data)
    others = parts["train"]
    every = [pair for part in parts.values() for pair in part]
    readings = Readings()
    said = [one.text for one in (*first, *second)]
    start = start_table([*said, *texts_of(others)], said, readings)
    folds = [
        Fold(part, Comparing(learn(start, other, readings, seed), readings))
        for seed, (part, other) in enumerate(((first, second), (second, first)))
    ]
    table = learn(start, [*first, *second], readings, 2)
    _save(folder / _WORDS, table_bytes(table))
    last = Comparing(table, readings)
    entries = {}
    for tier in TIERS:
        vectors = embedded(tier, data, every, cache)
        print(f"{time.monotonic() - begun:.0f} s: embedded for {tier}", flush=True)
        made = train(folds, others, last, vectors)
        entries[tier] = _write(folder, tier, made)
        print(f"{time.monotonic() - begun:.0f} s: trained {tier}", flush=True)
        for budget, threshold in made.thresholds:
            print(f"  {budget:.1%}: from {threshold:.4f} on")
    names = [_WORDS, *(f"{tier}.npz" for tier in entries)]
    manifest = {
        "words": _WORDS,
        "verifiers": entries,
        "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")


def _write(folder: Path, tier: str, made: Calibrated) -> dict[str, object]:
    file = f"{tier}.npz"
    kinds = dict(zip(KINDS, (made.alike, made.differing), strict=True))
    _save(folder / file, {k: v for kind, trees in kinds.items() for k, v in _arrays(kind, trees)})
    return {
        "file": file,
        "features": list(NAMES),
        **{kind: {"depth": trees.depth, "start": trees.start} for kind, trees in kinds.items()},
        "scale": made.scale,
        "bias": made.bias,
        "thresholds": [[budget, round(threshold, 6)] for budget, threshold in made.thresholds],
        "curve": [
            [round(point.threshold, 6), point.lookups, point.hits, point.wrong]
            for point in made.points
        ],
    }


def _arrays(kind: str, trees: Trees) -> list[tuple[str, Any]]:
    return [
        (f"{kind}_features", trees.features.astype(np.uint8)),
        (f"{kind}_thresholds", trees.thresholds),
        (f"{kind}_children", trees.children.astype(np.uint16)),
        (f"{kind}_values", trees.values.astype(np.float32)),
        (f"{kind}_roots", trees.roots.astype(np.uint16)),
    ]


def _save(path: Path, arrays: dict[str, Any]) -> None:
    np.savez_compressed(path, **arrays)
    path.chmod(0o644)


def main() -> None:
    """Train both tiers."""
    parser = argparse.ArgumentParser(prog="python -m models.cache_verifier", description=__doc__)
    parser.add_argument("--cache", type=Path, default=CACHE, help="keeps the embeddings")
    build(parser.parse_args().cache)


if __name__ == "__main__":
    main()
