"""Calibration: the range of each activation over texts, and a sample of its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from models.export.features import Features
from models.export.graph import Floats, build
from models.export.quantise import SITES, Seen, float_tensors
from models.export.running import open_session, run
from models.export.trunk import LAYERS, Array, Trunk

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SAMPLE = 1536


def calibrate(
    trunk: Trunk, features: Features, tokenizer: Tokenizer, texts: Sequence[str], seed: int = 0
) -> dict[str, Seen]:
    """Return what each site sees, by `layers.I.SITE`."""
    sites = [f"layers.{index}.{site}" for index in range(LAYERS) for site in SITES]
    # What is pooled in the end is no part of what is calibrated.
    plain = replace(features, pools=features.pools[:1])
    model = build(float_tensors(trunk), plain, Floats(), sites)
    session = open_session(model.SerializeToString(), 2)
    draw = np.random.default_rng(seed)
    low: dict[str, Array] = {}
    high: dict[str, Array] = {}
    kept: dict[str, list[Array]] = {site: [] for site in sites}
    share = _SAMPLE / sum(
        min(len(one.ids), features.max_tokens) for one in tokenizer.encode_batch(list(texts))
    )
    for _, mask, found in run(session, tokenizer, texts, sites, features.max_tokens):
        tokens = int(mask.sum())
        picked = draw.choice(tokens, max(1, round(tokens * share)), replace=False)
        for site, values in zip(sites, found, strict=True):
            rows = values[mask]
            kept[site].append(rows[picked])
            low[site] = np.minimum(low.get(site, rows[0]), rows.min(axis=0))
            high[site] = np.maximum(high.get(site, rows[0]), rows.max(axis=0))
    return {site: Seen(low[site], high[site], np.concatenate(kept[site])) for site in sites}
