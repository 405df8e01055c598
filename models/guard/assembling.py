"""A tier's heads put together: tensors of several trainings in one file, and the manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.export.features import load_features
from models.export.manifest import write_manifest
from pipeline.inference.lexicon import PAIRS, SINGLES
from pipeline.inference.manifest import HeadEntry, Manifest
from pipeline.inference.text_features import NAMES

Tier = Literal["tiny", "small"]
Tensors = Mapping[str, NDArray[Any]]
FOLDER = Path(__file__).parents[1]
VERSION = "1"
PROBE = "probe.safetensors"
HEADS = "heads.safetensors"
_FILES = {
    "tiny": ("tokenizer.json", "embeddings.npz", HEADS),
    "small": (
        "tokenizer.json", "features.json", "trunk.int8.onnx", "trunk.safetensors", PROBE, HEADS,
    ),
}  # fmt: skip
_NAMES = {"tiny": "dragoman-tiny", "small": "dragoman-small"}
_BASE = "sentence-transformers/all-MiniLM-L6-v2"
EMBEDDING = HeadEntry(name="embedding", kind="embedding")


def embedding_width(tier: Tier) -> int:
    """Return the length of a tier's embeddings, which are the first features of a window."""
    return 256 if tier == "tiny" else 384


def widths(tier: Tier, tensors: Tensors, folder: Path | None = None) -> int:
    """Return how many features of a window a tier's heads may read.

    Args:
        tier: which one.
        tensors: with the lexicon of the tiny tier.
        folder: of the tier; the shipped one if None.
    """
    if tier == "small":
        return load_features((folder or FOLDER / tier) / "features.json").width
    return embedding_width(tier) + int(tensors[SINGLES].shape[1]) - 1


def padded(tensors: Tensors, name: str, features: int, embedding: int) -> dict[str, NDArray[Any]]:
    """Return a head's tensors with columns of zeros for the features that it does not read.

    A head reads the embedding, all features, or either with the numbers beside a text.

    Args:
        tensors: `NAME.0.weight` and so on.
        name: of the head.
        features: how many there are.
        embedding: how many of them, the first ones, are the embedding.

    Raises:
        ValueError: the head reads another number of inputs.
    """
    mine = {key: tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}
    first = mine[f"{name}.0.weight"]
    if first.shape[1] in (features, features + len(NAMES)):
        return mine
    beside = first.shape[1] - embedding
    if beside not in (0, len(NAMES)):
        raise ValueError(f"head {name} reads {first.shape[1]} numbers, which are no tier's")
    unread = np.zeros((len(first), features - embedding), first.dtype)
    parts = [first[:, :embedding], unread, first[:, embedding:]]
    return {**mine, f"{name}.0.weight": np.concatenate(parts, axis=1)}


def assemble(
    tier: Tier, tensors: Tensors, entries: Sequence[HeadEntry], folder: Path | None = None
) -> Manifest:
    """Write a tier's heads and its manifest; of the small tier the probe as well.

    Args:
        tier: which one.
        tensors: of all heads, the lexicon or the probe.
        entries: of all heads but the embedding.
        folder: where to, with the tier's other files; the shipped one if None.
    """
    from safetensors.numpy import save

    place = folder or FOLDER / tier
    features = widths(tier, tensors, place)
    kept: dict[str, NDArray[Any]] = {}
    for entry in entries:
        kept |= padded(tensors, entry.name, features, embedding_width(tier))
    kept |= {name: tensors[name] for name in (SINGLES, PAIRS) if name in tensors}
    raw = save({name: np.ascontiguousarray(one) for name, one in sorted(kept.items())})
    (place / HEADS).write_bytes(raw)
    return write_manifest(
        place,
        name=_NAMES[tier],
        version=VERSION,
        base=_BASE,
        dimensions=embedding_width(tier),
        max_tokens=256,
        overlap=32,
        files=_FILES[tier],
        heads=[EMBEDDING, *entries],
    )
