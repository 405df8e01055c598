"""A text on its way through a batcher, from the event loop over two threads and back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.inference.contract import InferenceError, Prepared, Reading, Rows, Vector

Outcome = Reading | InferenceError


class Pass(NamedTuple):
    """What one forward pass was, for metrics."""

    windows: int
    tokens: int
    """Of the windows, special ones among them."""

    padded_tokens: int
    forward_s: float


class Waiting:
    """A text that somebody waits for.

    The event loop makes it and may let it go; else each thread writes its own part only.

    Args:
        text: forgotten once it is tokenised.
        heads: what is asked for.
        deadline_s: monotonic time after which nobody waits.
        future: of the event loop.
    """

    __slots__ = (
        "_left",
        "_rows",
        "deadline_s",
        "future",
        "heads",
        "is_begun",
        "is_gone",
        "prepared",
        "text",
    )

    def __init__(
        self,
        text: str,
        heads: frozenset[str],
        deadline_s: float,
        future: asyncio.Future[Reading],
    ) -> None:
        self.text = text
        self.heads = heads
        self.deadline_s = deadline_s
        self.future = future
        self.is_gone = False
        self.is_begun = False
        self.prepared = Prepared((), 0)
        self._left = -1
        self._rows: dict[str, Vector] = {}

    def collect(self, windows: Sequence[int], rows: Rows) -> Mapping[str, Vector] | None:
        """Keep the rows of some windows; return those of all once none is missing.

        Args:
            windows: which ones.
            rows: by head, in their order.
        """
        if self._left < 0:
            self._left = len(self.prepared.windows)
        for name in self.heads:
            found = rows[name]
            if name not in self._rows:
                shape = (len(self.prepared.windows), *found.shape[1:])
                self._rows[name] = np.empty(shape, np.float32)
            self._rows[name][list(windows)] = found
        self._left -= len(windows)
        return self._rows if self._left == 0 else None
