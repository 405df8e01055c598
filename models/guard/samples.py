"""Windows of labelled texts, as serving would cut them, with what a head should say of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.example import Example, Part
from pipeline.inference.contract import Ids
from pipeline.inference.tokens import Preparer

HEADS = ("jailbreak", "injection")
UNKNOWN = -1
Floats = NDArray[np.float64]
_WINDOWS: Mapping[Part, int] = {"train": 2, "calibration": 6, "test": 6}


@dataclass(frozen=True, slots=True)
class Samples:
    """Windows of examples.

    Args:
        examples: the texts.
        windows: token ids of all windows.
        owners: [windows], the example that each is of.
        views: [windows], which view of it.
        counts: [examples], windows of each.
    """

    examples: Sequence[Example]
    windows: Sequence[Ids]
    owners: NDArray[np.intp]
    views: NDArray[np.intp]
    counts: NDArray[np.intp]

    def labels(self, head: str) -> NDArray[np.intp]:
        """Return [examples], 1 for an attack of the head's kind, 0 for none, -1 for unknown."""
        found = (getattr(example, head) for example in self.examples)
        return np.array([UNKNOWN if one is None else int(one) for one in found], np.intp)

    def pooled(self, logits: Floats) -> Floats:
        """Return [examples], the largest logit of each example's windows."""
        best = np.full(len(self.examples), -np.inf)
        np.maximum.at(best, self.owners, logits)
        return best

    def sources(self) -> NDArray[np.str_]:
        """Return [examples], where each comes from."""
        return np.array([example.source for example in self.examples])


def cut(examples: Sequence[Example], part: Part, tokenizer: Path, *, special: bool) -> Samples:
    """Return the windows of examples and of their views.

    Args:
        examples: labelled texts.
        part: decides how many windows of a text are read.
        tokenizer: a `tokenizer.json`.
        special: whether windows hold special tokens.
    """
    prepare = Preparer(
        tokenizer.read_bytes(),
        max_tokens=256,
        overlap=32,
        windows=_WINDOWS[part],
        with_special=special,
    )
    windows: list[Ids] = []
    owners: list[int] = []
    views: list[int] = []
    for number, text in enumerate(prepare([one.text for one in examples], with_views=True)):
        windows += [window.ids for window in text.windows]
        owners += [number] * len(text.windows)
        views += [window.view for window in text.windows]
    owned = np.array(owners, np.intp)
    counts = np.bincount(owned, minlength=len(examples))
    return Samples(examples, windows, owned, np.array(views, np.intp), counts)


def targets(samples: Samples, head: str) -> tuple[Floats, Floats]:
    """Return what a head should say of each window, and how much each counts.

    A disguised attack shows in its views, so that its raw windows count for nothing; those of
    harmless texts count, and what is merely disguised does not look like an attack. Sources
    count by the root of their size, and both classes alike.

    Returns:
        0 or 1, and weights with a mean of 1 over the windows that count; both [windows].
    """
    labels = samples.labels(head)[samples.owners]
    views = np.zeros(len(samples.examples), np.intp)
    np.maximum.at(views, samples.owners, samples.views)
    hidden = (views[samples.owners] > 0) & (samples.views == 0) & (labels == 1)
    counted = (labels != UNKNOWN) & ~hidden
    sources = samples.sources()[samples.owners]
    weights = np.zeros(len(labels))
    for label in (0, 1):
        chosen = counted & (labels == label)
        for source in np.unique(sources[chosen]):
            rows = chosen & (sources == source)
            weights[rows] = rows.sum() ** -0.5
        weights[chosen] *= counted.sum() / 2 / max(weights[chosen].sum(), 1e-9)
    return (labels == 1).astype(float), weights
