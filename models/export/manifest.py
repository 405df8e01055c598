"""The manifest of a model's folder, written last: what its files are, by their hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path

from pipeline.inference.manifest import MANIFEST, HeadEntry, Manifest


def write_manifest(
    folder: Path,
    *,
    name: str,
    version: str,
    base: str,
    dimensions: int,
    max_tokens: int,
    overlap: int,
    files: Collection[str],
    heads: Sequence[HeadEntry],
) -> Manifest:
    """Write `manifest.json`, the same bytes for the same model.

    Args:
        folder: of the model, its files in it.
        name: of the model.
        version: of its weights.
        base: what it was made from.
        dimensions: of its embeddings.
        max_tokens: in a window, special ones among them.
        overlap: tokens that neighbouring windows share.
        files: names of all that it loads.
        heads: what it computes.
    """
    manifest = Manifest(
        name=name,
        version=version,
        base=base,
        dimensions=dimensions,
        max_tokens=max_tokens,
        overlap=overlap,
        files={
            file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in sorted(files)
        },
        heads=tuple(heads),
    )
    said = manifest.model_dump(mode="json", exclude_defaults=True)
    (folder / MANIFEST).write_text(json.dumps(said, indent=2) + "\n", "utf-8")
    return manifest
