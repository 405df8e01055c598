"""`python -m models.export.measure`: each way to quantise, how exact and how fast it is."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from models.export.calibrate import calibrate
from models.export.features import load_features
from models.export.files import load_probe
from models.export.graph import Floats, Int8, build
from models.export.quantise import float_tensors, quantise
from models.export.running import cosines, embed, open_session
from models.export.texts import load_texts
from models.export.trunk import find_weights, load_trunk
from models.export.variants import (
    Blocks,
    Dynamic,
    block_tensors,
    plain_tensors,
    static_tensors,
)

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

SMALL = Path(__file__).parents[1] / "small"
_LENGTHS = (16, 128, 256)


def main(arguments: Sequence[str]) -> None:
    """Print a row for each way: cosines to float32, milliseconds of a window."""
    parser = argparse.ArgumentParser(prog="python -m models.export.measure", description=__doc__)
    parser.add_argument("--repeats", type=int, default=40, help="passes, of which the least counts")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    features = load_features(SMALL / "features.json")
    folder = find_weights()
    trunk = load_trunk(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    texts = load_texts()
    seen = calibrate(trunk, features, tokenizer, texts.calibration)
    probe = load_probe(SMALL, features)
    exact, plain, blocks = float_tensors(trunk), plain_tensors(trunk), block_tensors(trunk)
    static, smoothed = static_tensors(trunk, seen), quantise(trunk, seen)
    models = {
        "float32": build(exact | probe, features, Floats()),
        "dynamic int8": build(plain | probe, features, Dynamic()),
        "int8 in blocks": build(blocks | probe, features, Blocks(blocks)),
        "calibrated int8": build(static | probe, features, Int8(static)),
        "smoothed int8": build(smoothed | probe, features, Int8(smoothed)),
    }
    sessions = {
        name: open_session(model.SerializeToString(), options.threads)
        for name, model in models.items()
    }
    sizes = {name: model.ByteSize() for name, model in models.items()}
    measured = {
        kind: embed(sessions["float32"], tokenizer, its, features.max_tokens)
        for kind, its in texts.measured.items()
    }
    times = latencies(sessions, options.repeats, options.threads)
    heads = [*measured, *(f"{length} tokens, ms" for length in _LENGTHS)]
    write = sys.stdout.write
    write(f"| way | MB | {' | '.join(heads)} |\n|{'---|' * (2 + len(heads))}\n")
    for name, session in sessions.items():
        near = [
            cosines(embed(session, tokenizer, texts.measured[kind], features.max_tokens), rows)
            for kind, rows in measured.items()
        ]
        cells = [f"{found.mean():.4f} ({np.quantile(found, 0.01):.4f})" for found in near]
        cells += [f"{times[name, length]:.2f}" for length in _LENGTHS]
        write(f"| {name} | {sizes[name] / 1e6:.0f} | {' | '.join(cells)} |\n")


def latencies(
    sessions: Mapping[str, InferenceSession], repeats: int, threads: int
) -> dict[tuple[str, int], float]:
    """Return the least milliseconds of a window by session and tokens, taken in turns.

    With one thread it is the processor's time, which a busy machine does not lengthen much.
    """
    clock: Callable[[], float] = time.thread_time if threads == 1 else time.perf_counter
    draw = np.random.default_rng(0)
    least: dict[tuple[str, int], float] = {}
    for length in _LENGTHS:
        ids = draw.integers(1000, 20_000, (1, length))
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        for _ in range(repeats):
            for name, session in sessions.items():
                begin = clock()
                session.run(None, inputs)
                took = (clock() - begin) * 1e3
                least[name, length] = min(took, least.get((name, length), took))
    return least


if __name__ == "__main__":
    main(sys.argv[1:])
