"""`python -m models.export`: make the int8 trunk of the small tier and say how exact it is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from models.export.calibrate import calibrate
from models.export.features import load_features
from models.export.files import WEIGHTS, load_probe, save
from models.export.graph import Floats, Int8, build
from models.export.quantise import float_tensors, quantise
from models.export.running import cosines, embed, open_session
from models.export.texts import load_texts
from models.export.trunk import find_weights, load_trunk

SMALL = Path(__file__).parents[1] / "small"


def main(arguments: list[str]) -> None:
    """Export, then print the cosines of int8 to float32 embeddings."""
    parser = argparse.ArgumentParser(prog="python -m models.export", description=__doc__)
    parser.add_argument("--weights", type=Path, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--adapter", type=Path, help="safetensors of what to add to the weights")
    parser.add_argument("--to", type=Path, default=SMALL, help="folder with features.json")
    parser.add_argument(
        "--graph-only", action="store_true", help="keep the int8 weights; for other features"
    )
    options = parser.parse_args(arguments)
    if options.graph_only:
        export_graph(options.to, load_file(options.to / WEIGHTS))
        return
    folder = find_weights(options.weights)
    trunk = load_trunk(folder, load_file(options.adapter) if options.adapter else None)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.save(str(options.to / "tokenizer.json"), pretty=False)
    features = load_features(options.to / "features.json")
    texts = load_texts()
    tensors = quantise(trunk, calibrate(trunk, features, tokenizer, texts.calibration))
    export_graph(options.to, tensors)
    plain = replace(features, pools=features.pools[:1])
    quantised, exact = (
        open_session(build(weights, plain, matrices).SerializeToString(), 2)
        for weights, matrices in (
            (tensors, Int8(tensors)),
            (float_tensors(trunk), Floats()),
        )
    )
    for kind, measured in texts.measured.items():
        one, other = (
            embed(session, tokenizer, measured, features.max_tokens)
            for session in (quantised, exact)
        )
        near = cosines(one, other)
        print(
            f"{kind}: {len(measured)} texts, cosine {near.mean():.4f}, "
            f"1st percentile {np.quantile(near, 0.01):.4f}, least {near.min():.4f}"
        )


def export_graph(folder: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write the graph of the features that a folder names, and the weights.

    Args:
        folder: with `features.json`, and `probe.safetensors` if they have a probe.
        tensors: int8, of the trunk.
    """
    features = load_features(folder / "features.json")
    model = build({**tensors, **load_probe(folder, features)}, features, Int8(tensors))
    save(folder, model, tensors)


if __name__ == "__main__":
    main(sys.argv[1:])
