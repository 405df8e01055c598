"""Which poolings of which layers a trunk's features are: the heads are trained on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from models.export.trunk import LAYERS, WIDTH

Pooling = Literal["mean", "max", "first", "probe"]


@dataclass(frozen=True, slots=True)
class Pool:
    """One pooling over a window's tokens.

    Args:
        layer: 0 is the embeddings, 6 the last layer.
        pooling: over all tokens, special ones among them. `first` is the `[CLS]` token's vector;
            `probe` the greatest of any token after a trained layer and a ReLU.
        units: how many numbers it is.
    """

    layer: int
    pooling: Pooling
    units: int = WIDTH

    def __post_init__(self) -> None:
        """Refuse what the trunk does not have."""
        if not 0 <= self.layer <= LAYERS or self.pooling not in get_args(Pooling):
            raise ValueError(f"there is no {self.pooling!r} of layer {self.layer}")
        if self.pooling != "probe" and self.units != WIDTH:
            raise ValueError(f"{self.pooling!r} has {WIDTH} numbers, not {self.units}")


@dataclass(frozen=True, slots=True)
class Features:
    """What heads read of a window.

    Args:
        pools: concatenated in this order.
        max_tokens: in a window, special tokens among them.
        overlap: tokens that neighbouring windows share.
    """

    pools: tuple[Pool, ...]
    max_tokens: int = 256
    overlap: int = 32

    @property
    def width(self) -> int:
        """How many numbers they are."""
        return sum(pool.units for pool in self.pools)


def load_features(file: Path) -> Features:
    """Read `features.json` of a model's folder.

    Raises:
        ValueError: it names a pooling that the trunk does not have.
    """
    content = json.loads(file.read_text("utf-8"))
    pools = tuple(
        Pool(int(one["layer"]), cast("Pooling", one["pooling"]), int(one.get("units", WIDTH)))
        for one in content["poolings"]
    )
    return Features(pools, int(content["max_tokens"]), int(content["overlap"]))
