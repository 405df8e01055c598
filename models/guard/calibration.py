"""Probabilities out of logits, fitted on sources that training never saw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.inference.manifest import CalibrationEntry

Floats = NDArray[np.float64]
Labels = NDArray[np.intp]
# Attacks and harmless texts count alike, then this is how often an attack is assumed.
_PRIOR = 0.5


def platt(logits: Floats, labels: Labels, weights: Floats) -> CalibrationEntry:
    """Return scale and bias that make probabilities of logits, by weighted maximum likelihood.

    Args:
        logits: [texts], pooled.
        labels: [texts], 0 or 1.
        weights: [texts].
    """
    from scipy.optimize import minimize

    def loss(values: Floats) -> float:
        signed = np.where(labels == 1, 1, -1) * (np.exp(values[0]) * logits + values[1])
        return float((weights * np.logaddexp(0, -signed)).sum() / weights.sum())

    found = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    return CalibrationEntry(scale=round(float(np.exp(found[0])), 4), bias=round(float(found[1]), 4))


def temperature(logits: Floats, labels: Labels) -> CalibrationEntry:
    """Return the scale that makes probabilities of several labels' logits.

    Args:
        logits: [texts, labels].
        labels: [texts], the right one.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    def loss(power: float) -> float:
        scaled = np.exp(power) * logits
        right = scaled[np.arange(len(labels)), labels]
        return float((logsumexp(scaled, axis=1) - right).mean())

    found = minimize_scalar(loss, bounds=(-3, 3), method="bounded").x
    return CalibrationEntry(scale=round(float(np.exp(found)), 4))


def balanced(labels: Labels, sources: NDArray[np.str_]) -> Floats:
    """Return weights by which sources count by their size's root, and both labels alike."""
    weights = np.zeros(len(labels))
    for label in (0, 1):
        chosen = labels == label
        for source in np.unique(sources[chosen]):
            rows = chosen & (sources == source)
            weights[rows] = rows.sum() ** -0.5
        weights[chosen] *= (_PRIOR if label else 1 - _PRIOR) / max(weights[chosen].sum(), 1e-9)
    return weights


def threshold(probabilities: Floats, labels: Labels, sources: NDArray[np.str_]) -> float:
    """Return the probability that one in a hundred harmless texts reaches, sources counted alike.

    Args:
        probabilities: [texts].
        labels: [texts], 0 or 1.
        sources: [texts].
    """
    harmless = labels == 0
    order = np.argsort(-probabilities[harmless])
    names, which, sizes = np.unique(sources[harmless], return_inverse=True, return_counts=True)
    share = np.cumsum((1 / sizes[which] / len(names))[order])
    place = int(np.searchsorted(share, 0.01))
    return round(float(np.clip(probabilities[harmless][order][place], 0.5, 0.99)), 3)


def expected_error(probabilities: Floats, labels: Labels, weights: Floats, bins: int = 10) -> float:
    """Return the expected calibration error: the weighted mean gap over equal bins.

    Args:
        probabilities: [texts].
        labels: [texts], 0 or 1.
        weights: [texts].
        bins: how many.
    """
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    total = 0.0
    for number in range(bins):
        rows = place == number
        if weight := weights[rows].sum():
            gap = np.average(probabilities[rows], weights=weights[rows])
            total += weight * abs(gap - np.average(labels[rows], weights=weights[rows]))
    return float(total / weights.sum())
