"""`python -m models.guard [tiny] [small]`: train the heads, calibrate them, write the folders."""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from models.data.corpus import corpus
from models.data.domains import topics
from models.guard.assembling import FOLDER, HEADS, PROBE, Tier, assemble
from models.guard.training import calibrated, routed, train_small, train_tiny, untrained

TIERS: tuple[Tier, ...] = ("tiny", "small")


def main() -> None:
    """Train the tiers that are named, both without names."""
    parser = argparse.ArgumentParser(prog="python -m models.guard", description=__doc__)
    parser.add_argument("tiers", nargs="*", choices=[[], *TIERS], default=[])
    parser.add_argument(
        "--keep", action="store_true", help="the weights that lie there; calibrate them again"
    )
    arguments = parser.parse_args()
    parts, about = corpus(), topics()
    for tier in arguments.tiers or TIERS:
        if arguments.keep:
            tensors = load_file(FOLDER / tier / HEADS)
        else:
            tensors = (train_tiny if tier == "tiny" else train_small)(parts, about["train"])
            if tier == "small":
                _export_probe({name: tensors[name] for name in ("probe.weight", "probe.bias")})
        beside, entries = routed(tier)
        assemble(tier, tensors | beside, [*untrained(), *entries])
        manifest = assemble(
            tier, tensors | beside, [*calibrated(tier, parts, about["calibration"]), *entries]
        )
        for head in manifest.heads[1:]:
            fit = head.calibration
            print(
                f"{tier} {head.name}: scale {fit.scale}, bias {fit.bias}, "
                f"per doubling {fit.per_doubling}, threshold {head.threshold}, "
                f"abstains below {head.abstain_below}"
            )


def _export_probe(tensors: dict[str, NDArray[np.float32]]) -> None:
    """Write the probe and the graph that ends in it; the trunk's int8 weights stay."""
    from models.export.__main__ import main as export

    (FOLDER / "small" / PROBE).write_bytes(save(tensors))
    export(["--graph-only"])


if __name__ == "__main__":
    main()
