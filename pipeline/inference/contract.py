"""What the parts of inference say to each other: heads, windows, rows, readings.

    text --prepare--> windows --forward--> rows --pool--> reading

A model prepares and computes; the batcher decides what is computed together; pooling makes one
reading of a text's rows; an engine shares readings. A source is where readings come from: a
batcher with a model in this process, or a client of another node.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.api.signals import EMBEDDING
from pipeline.errors import InferenceError

__all__ = [
    "EMBEDDING",
    "Calibration",
    "Head",
    "HeadKind",
    "Ids",
    "InferenceError",
    "Model",
    "Pooling",
    "Prepared",
    "Reading",
    "Rows",
    "Source",
    "Vector",
    "Window",
]

Vector = NDArray[np.float32]
Ids = NDArray[np.int32]
Pooling = Literal["mean", "max"]
HeadKind = Literal["embedding", "score", "labels"]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Makes a probability of a pooled logit: `sigmoid(scale * (logit - shift) + bias)`.

    `shift` is `per_doubling * log2(windows)`, of the text's own windows and not of its views: the
    largest of many is larger by chance.
    For several labels `softmax(scale * logits)`; `bias` and `per_doubling` are zero there.
    """

    scale: float = 1.0
    bias: float = 0.0
    per_doubling: float = 0.0


@dataclass(frozen=True, slots=True)
class Head:
    """One thing that a model says of a text.

    Args:
        name: the signal's name.
        kind: `embedding` has a unit vector, `score` a probability, `labels` one for each label.
        labels: of kind `labels`, in the order of the logits.
        pooling: how windows become one.
        views: whether decoded views of the text count as well as the text itself.
        calibration: makes probabilities of logits.
        abstain_below: of kind `labels`: a top probability under it is no label.
        threshold: of kind `score`: what the model's card recommends to act on.
    """

    name: str
    kind: HeadKind
    labels: tuple[str, ...] = ()
    pooling: Pooling = "mean"
    views: bool = False
    calibration: Calibration = Calibration()
    abstain_below: float = 0.0
    threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a text that goes through a model at once.

    Args:
        ids: token ids, special ones among them.
        view: 0 for the text itself, others for what it decodes to.
        weight: its share in a mean: the tokens that no window before it held.
        extra: numbers beside the text that some heads read, in the model's own order; the same
            for all windows of a text.
    """

    ids: Ids
    view: int = 0
    weight: int = 1
    extra: Vector | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A text, tokenised.

    Args:
        windows: at least one.
        tokens: of the text itself.
        unread: how many of them no window holds; an estimate where a text is so long that its
            middle was not tokenised.
    """

    windows: tuple[Window, ...]
    tokens: int
    unread: int = 0


Rows = Mapping[str, Vector]
"""By head, one row a window: embeddings before normalisation, logits of scores and labels."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a pass says of one text; readings are shared, so nobody writes to them.

    Args:
        embedding: unit length, None where it was not asked for.
        scores: probability by head of kind `score`.
        labels: probabilities by head of kind `labels`.
        tokens: of the text.
        unread: how many of them were not read.
    """

    embedding: Vector | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, Vector] = field(default_factory=dict)
    tokens: int = 0
    unread: int = 0


class Model(Protocol):
    """A loaded model on its device."""

    @property
    def identity(self) -> str:
        """Name and hash: stores compare it before they use old embeddings."""

    @property
    def heads(self) -> Mapping[str, Head]:
        """What it computes, by name."""

    @property
    def dimensions(self) -> int:
        """Length of its embeddings; 0 where it has none."""

    def prepare(self, texts: Sequence[str], heads: Collection[str]) -> list[Prepared]:
        """Tokenise; called by one thread at a time, another than `forward`'s."""

    def forward(self, windows: Sequence[Window], heads: Collection[str]) -> Rows:
        """Compute the heads of windows, each row in the place of its window.

        Called by one thread only, which owns the device.
        """

    def warm(self) -> None:
        """Run what the first real batch would otherwise pay for; called by `forward`'s thread."""

    def close(self) -> None:
        """Give the device back."""


class Source(Protocol):
    """Where readings come from."""

    @property
    def identity(self) -> str:
        """The model's; known once `start` has returned."""

    @property
    def heads(self) -> Mapping[str, Head]:
        """The model's; known once `start` has returned."""

    async def start(self) -> None:
        """Load and warm up, or connect.

        Raises:
            InferenceError: it cannot serve; a source of another node starts all the same.
        """

    async def read(self, text: str, heads: Collection[str], deadline_s: float) -> Reading:
        """Return the heads' reading of a text.

        Args:
            text: may be longer than the model reads.
            heads: names of heads.
            deadline_s: monotonic time after which nobody waits any more.

        Raises:
            InferenceError: it could not be had.
        """

    async def close(self) -> None:
        """Refuse what waits and give everything back."""
