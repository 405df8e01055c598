"""Embeddings of texts by the tiers that serve them, kept between runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.cache_stream.embedders import tier
from models.cache_stream.streams import read_clinc
from models.cache_verifier.sources import Pair

MODELS = Path(__file__).parents[1]
Vectors = NDArray[np.float32]
# What the embedding does not depend on.
_HEADS = {"heads.safetensors", "probe.safetensors"}


def embedded(name: str, data: Path, pairs: Sequence[Pair], cache: Path) -> dict[str, Vectors]:
    """Return the unit embedding of CLINC150's utterances and of the texts of pairs.

    Args:
        name: of the tier, `small` or `tiny`.
        data: folder of the material.
        pairs: labelled ones.
        cache: folder that keeps embeddings, those of each source by itself.
    """
    groups = {"clinc": [one.text for one in read_clinc(data)]}
    for pair in pairs:
        groups.setdefault(pair.source, []).extend((pair.asked, pair.stored))
    found: dict[str, Vectors] = {}
    for texts in groups.values():
        each = sorted(set(texts))
        found |= dict(zip(each, unit_vectors(name, each, cache), strict=True))
    return found


def unit_vectors(name: str, texts: Sequence[str], cache: Path) -> Vectors:
    """Return (n, d) embeddings at length 1.

    Args:
        name: of the tier.
        texts: to embed.
        cache: folder that keeps them.
    """
    path = cache / kept_as(name, texts)
    if path.exists():
        return np.asarray(np.load(path))
    rows = tier(name)(texts)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    units = (rows / np.where(norms > 0, norms, 1)).astype(np.float32)
    cache.mkdir(parents=True, exist_ok=True)
    np.save(path, units)
    return units


def kept_as(name: str, texts: Sequence[str]) -> str:
    """Return the file name of embeddings: those of another trunk or other texts have another."""
    files: dict[str, str] = json.loads((MODELS / name / "manifest.json").read_bytes())["files"]
    trunk = [f"{file} {digest}" for file, digest in files.items() if file not in _HEADS]
    whole = "\0".join([*trunk, *texts])
    return f"cache-verifier-{name}-{hashlib.sha256(whole.encode()).hexdigest()[:24]}.npy"
