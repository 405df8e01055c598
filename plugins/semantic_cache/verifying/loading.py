"""The shipped verifiers: checked by their hashes before they are parsed."""

from __future__ import annotations

import hashlib
import io
import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from plugins.semantic_cache.verification import Verifier
from plugins.semantic_cache.verifying.features import NAMES
from plugins.semantic_cache.verifying.table import WordTable
from plugins.semantic_cache.verifying.trained import TrainedVerifier
from plugins.semantic_cache.verifying.trees import Trees

MANIFEST = "manifest.json"
KINDS = ("alike", "differing")
"""The trees of a verifier, see `TrainedVerifier`."""


class BrokenVerifier(Exception):
    """A verifier's file is not what its manifest says."""


def load_verifier(embedder: str) -> Verifier | None:
    """Return the verifier that was made for an embedder, loaded once; None if there is none.

    Args:
        embedder: `small`, `tiny`, or a fingerprint that begins with one of them and a colon or
            another mark that is no letter.

    Raises:
        BrokenVerifier: its files are damaged, or made for another version of the features.
    """
    tier = next(iter(_words(embedder)), "")
    return _load(tier) if tier in _manifest()["verifiers"] else None


@cache
def _load(tier: str) -> Verifier:
    entry = _manifest()["verifiers"][tier]
    if entry["features"] != list(NAMES):
        raise BrokenVerifier(f"the verifier of {tier} was made for other features")
    weights = _arrays(entry["file"])
    words = _arrays(_manifest()["words"])
    names = bytes(words["names"]).decode().split("\n")
    rows = words["rows"].astype(np.float32) * words["scales"].astype(np.float32)[:, None]
    table = WordTable(
        {word: at for at, word in enumerate(names)}, rows, words["rarities"].astype(np.float32)
    )
    alike, differing = (_trees(weights, kind, entry[kind]) for kind in KINDS)
    thresholds = tuple((float(budget), float(t)) for budget, t in entry["thresholds"])
    scale, bias = float(entry["scale"]), float(entry["bias"])
    return TrainedVerifier(table, alike, differing, scale, bias, thresholds)


def _trees(weights: dict[str, Any], kind: str, said: dict[str, Any]) -> Trees:
    return Trees(
        features=weights[f"{kind}_features"].astype(np.intp),
        thresholds=weights[f"{kind}_thresholds"],
        children=weights[f"{kind}_children"].astype(np.intp),
        values=weights[f"{kind}_values"].astype(np.float64),
        roots=weights[f"{kind}_roots"].astype(np.intp),
        depth=int(said["depth"]),
        start=float(said["start"]),
    )


@cache
def _manifest() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_folder().joinpath(MANIFEST).read_text("utf-8"))
    return found


def _arrays(name: str) -> dict[str, Any]:
    raw = _folder().joinpath(name).read_bytes()
    if hashlib.sha256(raw).hexdigest() != _manifest()["files"][name]:
        raise BrokenVerifier(f"{name} is not the file that {MANIFEST} describes")
    with np.load(io.BytesIO(raw), allow_pickle=False) as found:
        return {key: found[key] for key in found.files}


def _folder() -> Any:
    return files("models") / "cache_verifier"


def _words(embedder: str) -> list[str]:
    word = ""
    for letter in embedder:
        if not letter.isalpha():
            break
        word += letter
    return [word] if word else []
