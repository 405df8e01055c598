"""The domain head of a tier, measured on instructions of sources of their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.data.domains import LABELS, Topic
from models.evaluation.figures import Figure, share
from models.guard.calibration import expected_error
from models.guard.scoring import readings
from pipeline.inference.contract import Model

_NEW = ("dolly15k", "arena_hard", "ifeval", "mt_bench")


def about(tier: str, model: Model, topics: Sequence[Topic]) -> list[Figure]:
    """Return how often the label is right, with and without abstention.

    Args:
        tier: names the figures.
        model: to ask.
        topics: of the test.
    """
    wanted = np.array([LABELS.index(one.label) for one in topics])
    found = readings(model, [one.text for one in topics], ["domain"])
    chances = np.stack([one.labels["domain"] for one in found]).astype(np.float64)
    right, top = chances.argmax(1) == wanted, chances.max(1)
    sure = top >= model.heads["domain"].abstain_below
    new = np.array([one.source in _NEW for one in topics])
    error = expected_error(top, right.astype(np.intp), np.ones(len(top)))
    return [
        share(f"{tier}.domain.right", right),
        share(f"{tier}.domain.right.new_sources", right[new]),
        share(f"{tier}.domain.answered", sure),
        share(f"{tier}.domain.right_of_answered", right[sure]),
        Figure(f"{tier}.domain.calibration_error", error, error, error),
    ]
