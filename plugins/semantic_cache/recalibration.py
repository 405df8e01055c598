"""An operator's own calibration: thresholds by budget, in a file, for one embedder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from plugins.semantic_cache.verification import Verifier
from plugins.semantic_cache.verifying.calibration import Point, between, lowest_within

BUDGETS = (0.005, 0.01, 0.02, 0.05)


class CalibrationFile(BaseModel):
    """What `dragoman cache calibrate` writes."""

    model_config = ConfigDict(extra="forbid")

    embedder: str = Field(min_length=1)
    confidence: float = Field(gt=0, lt=1)
    thresholds: tuple[tuple[float, float], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _rises(self) -> Self:
        budgets = [budget for budget, _ in self.thresholds]
        if budgets != sorted(set(budgets)) or not all(0 < budget < 1 for budget in budgets):
            raise ValueError("budgets rise, and are shares between 0 and 1")
        if not all(0 < threshold <= 2 for _, threshold in self.thresholds):
            raise ValueError("a threshold is a probability, or above 1 for none")
        return self


class Recalibrated:
    """A verifier with an operator's thresholds.

    Args:
        verifier: the shipped one.
        thresholds: (budget, threshold) by rising budget.
    """

    def __init__(self, verifier: Verifier, thresholds: tuple[tuple[float, float], ...]) -> None:
        self._thresholds = thresholds
        self.probability = verifier.probability
        self.disagreements = verifier.disagreements

    def threshold(self, max_error: float) -> float:
        """Return the probability from which on at most so many hits are wrong."""
        return between(self._thresholds, max_error)


def read_calibration(path: Path) -> CalibrationFile:
    """Read a file.

    Raises:
        ValueError: it cannot be read, or is none.
    """
    try:
        return CalibrationFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"cannot read the calibration {path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{path} is no calibration: {first['msg']}") from error


def fitted(points: Sequence[Point], embedder: str, confidence: float) -> CalibrationFile:
    """Return the thresholds that a curve supports.

    Args:
        points: of the curve.
        embedder: fingerprint of what the probabilities come from.
        confidence: that each threshold is within its budget.
    """
    thresholds = tuple((budget, lowest_within(points, budget, confidence)) for budget in BUDGETS)
    return CalibrationFile(embedder=embedder, confidence=confidence, thresholds=thresholds)
