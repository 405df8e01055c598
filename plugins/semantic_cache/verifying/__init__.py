"""Verification before serving: a trained scorer of pairs, its calibration, an adaptive bound."""

from __future__ import annotations

from plugins.semantic_cache.verifying.adaptive import AdaptiveBound, starting_threshold
from plugins.semantic_cache.verifying.calibration import (
    Calibration,
    LabelledPair,
    Point,
    calibrate,
)
from plugins.semantic_cache.verifying.loading import BrokenVerifier, load_verifier

__all__ = [
    "AdaptiveBound",
    "BrokenVerifier",
    "Calibration",
    "LabelledPair",
    "Point",
    "calibrate",
    "load_verifier",
    "starting_threshold",
]
