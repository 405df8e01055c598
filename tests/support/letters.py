"""A small model whose readings follow from the letters of a text, and which can be held up."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from pipeline.inference.contract import Calibration, Head, Prepared, Reading, Rows, Window
from pipeline.inference.pooling import pool
from pipeline.inference.windows import cut

HEADS = {
    "embedding": Head("embedding", "embedding"),
    "vowels": Head("vowels", "score", pooling="max", calibration=Calibration(4.0, -1.0, 0.1)),
    "risk": Head("risk", "score", pooling="max", views=True),
    "half": Head("half", "labels", labels=("first", "second"), abstain_below=0.6),
}
ALL = frozenset(HEADS)
# In a text the model chokes: in the first when it tokenises, in the second when it computes.
UNTOKENISABLE, POISON, NOT_A_NUMBER = "\ue000", "\ue001", "\ue002"


class Letters:
    """A model of letters: an id is a code point, a view is the text backwards.

    Args:
        max_content: letters in a window.
        overlap: of windows.
        limit: windows of one text.
    """

    identity = "letters@1"
    heads: Mapping[str, Head] = HEADS
    dimensions = 4

    def __init__(self, *, max_content: int = 30, overlap: int = 4, limit: int = 8) -> None:
        self._cut = {"overlap": overlap, "limit": limit, "prefix": (1,), "suffix": (2,)}
        self._max_content = max_content
        self.batches: list[list[int]] = []
        """Lengths of the windows of each pass."""

        self.prepared: list[list[str]] = []
        self.threads: set[tuple[str, str]] = set()
        """Which thread did what."""

        self.is_closed = False
        self.began = threading.Semaphore(0)
        """Released as each pass begins."""

        self._gate = threading.Event()
        self._gate.set()
        self._preparing = threading.Event()
        self._preparing.set()

    @contextmanager
    def held(self):
        """Let no pass end within the block."""
        self._gate.clear()
        try:
            yield
        finally:
            self._gate.set()

    @contextmanager
    def speechless(self):
        """Let nothing be tokenised within the block."""
        self._preparing.clear()
        try:
            yield
        finally:
            self._preparing.set()

    def prepare(self, texts: Sequence[str], heads: Collection[str]) -> list[Prepared]:
        self._note("prepare")
        self._preparing.wait(10)
        self.prepared.append(list(texts))
        if any(UNTOKENISABLE in text for text in texts):
            raise ValueError(f"cannot tokenise {texts}")
        has_views = any(HEADS[name].views for name in heads)
        return [self._prepared(text, has_views=has_views) for text in texts]

    def _prepared(self, text: str, *, has_views: bool) -> Prepared:
        ids = np.array([ord(letter) for letter in text], np.int32)
        windows, unread = cut(ids, self._max_content, **self._cut)
        if has_views:
            windows += cut(ids[::-1], self._max_content, view=1, **self._cut).windows
        return Prepared(windows, len(ids), unread)

    def forward(self, windows: Sequence[Window], heads: Collection[str]) -> Rows:
        self._note("forward")
        self.batches.append([len(window.ids) for window in windows])
        self.began.release()
        self._gate.wait(10)
        if any(ord(POISON) in window.ids for window in windows):
            raise RuntimeError("out of memory")
        return {name: _ROWS[name](windows) for name in heads}

    def warm(self) -> None:
        self._note("warm")

    def close(self) -> None:
        self._note("close")
        self.is_closed = True

    def expected(self, text: str, heads: Collection[str] = ALL) -> Reading:
        """Return what a reading of the text alone is."""
        prepared = self._prepared(text, has_views=any(HEADS[name].views for name in heads))
        rows = {name: _ROWS[name](prepared.windows) for name in heads}
        return pool([prepared], rows, [HEADS[name] for name in heads])[0]

    def _note(self, what: str) -> None:
        self.threads.add((what, threading.current_thread().name))


def _embeddings(windows):
    return np.array([[w.ids.mean(), w.ids.max(), w.ids.min(), 1] for w in windows], np.float32)


def _vowels(windows):
    shares = (np.isin(w.ids, [ord(letter) for letter in "aeiou"]).mean() for w in windows)
    bad = (ord(NOT_A_NUMBER) in w.ids for w in windows)
    return np.array([np.nan if b else s for b, s in zip(bad, shares, strict=True)], np.float32)


def _risk(windows):
    # The order counts, so that a view says something else than the text.
    return np.array([(w.ids * np.arange(len(w.ids))).sum() % 7 - 3 for w in windows], np.float32)


def _half(windows):
    return np.array([[(w.ids < 110).sum(), (w.ids >= 110).sum()] for w in windows], np.float32)


_ROWS = {"embedding": _embeddings, "vowels": _vowels, "risk": _risk, "half": _half}


def same(one: Reading, other: Reading, heads: Collection[str] = ALL) -> bool:
    """Say whether two readings agree about heads, and how much was read."""
    return (
        ("embedding" not in heads or np.allclose(one.embedding, other.embedding, atol=1e-6))
        and all(
            np.isclose(one.scores[name], other.scores[name], atol=1e-6)
            for name in heads
            if HEADS[name].kind == "score"
        )
        and all(
            np.allclose(one.labels[name], other.labels[name], atol=1e-6)
            for name in heads
            if HEADS[name].kind == "labels"
        )
        and (one.tokens, one.unread) == (other.tokens, other.unread)
    )
