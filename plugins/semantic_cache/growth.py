"""Growth: how a partition moves to lists that suit its size, a short step at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from plugins.semantic_cache.inverted_lists import InvertedLists, Vectors, list_count
from plugins.semantic_cache.shared_rows import SharedRows

Code = NDArray[np.uint8]
Step = Iterator[Callable[[], None]]

_BATCH = 64
"""Vectors moved in one step: about half a millisecond."""
_SAMPLE_BATCH = 2048
"""Vectors copied in one step for training: about a millisecond."""
_SAMPLE_PER_LIST = 32
_LEAST_SAMPLE = 1024
_TURNOVERS = 4
"""After so many additions for each vector, the centroids are those of another time."""


@dataclass(slots=True)
class Large:
    """A partition with lists of its own.

    Args:
        partition: which one.
        number: small; that of a partition that is gone comes again.
        current: where vectors are added.
        draining: where those are that have yet to move; None when all have.
        has_rows: whether some have yet to move from the shared rows.
    """

    partition: bytes
    number: int
    current: InvertedLists
    draining: InvertedLists | None = None
    has_rows: bool = True

    @property
    def count(self) -> int:
        """How many vectors the lists have."""
        return self.current.count + (0 if self.draining is None else self.draining.count)

    @property
    def is_due(self) -> bool:
        """Whether other lists would suit it better, or it has nothing any more."""
        count, lists = self.count, self.current.lists
        if self.has_rows or self.draining is not None:
            return False
        return (
            count == 0
            or self.current.added > _TURNOVERS * max(count, _LEAST_SAMPLE)
            or list_count(count) > lists
            or list_count(count) * 4 < lists
        )

    @property
    def size_bytes(self) -> int:
        """What it takes of memory."""
        return self.current.size_bytes + (0 if self.draining is None else self.draining.size_bytes)


class Grown(Protocol):
    """What growing does to an index."""

    def large(self, partition: bytes) -> Large | None:
        """Return a partition's lists; None where it has none."""

    def enlarge(self, partition: bytes, current: InvertedLists) -> Large:
        """Give a partition lists, where it had none."""

    def forget(self, large: Large) -> None:
        """Drop the lists of a partition that has nothing in them any more."""

    def move_row(self, key: int, row: int, large: Large, list_number: int, code: Code) -> None:
        """Move a vector from the shared rows to lists, unless it is gone."""

    def move(self, key: int, large: Large, list_number: int, code: Code) -> None:
        """Move a vector from draining to current lists, unless it is gone."""


def grow(index: Grown, rows: SharedRows, partition: bytes) -> Step:
    """Yield work for a thread, until a partition's vectors are where they belong.

    What is between two yields runs in the owner's thread and is short; what is yielded touches
    copies, or reads centroids, which never change.
    """
    large = index.large(partition)
    if large is None:
        yield from _from_rows(index, rows, partition)
    elif large.count == 0:
        index.forget(large)
    elif large.is_due:
        yield from _from_lists(index, large)


def _from_rows(index: Grown, rows: SharedRows, partition: bytes) -> Step:
    # A sample from a chain of rows is taken at once and so is small; later growth takes more.
    chain = rows.newest(partition, _SAMPLE_BATCH)
    if not chain:
        return
    training = Training([rows.read(chain)[1]], list_count(len(chain)), None)
    yield from _until_done(training)
    large = index.enlarge(partition, training.result)
    while chain := rows.newest(partition, _BATCH):
        keys, vectors = rows.read(chain)
        assignment = Assignment(large.current, vectors)
        yield from _until_done(assignment)
        for key, row, list_number, code in zip(
            keys, chain, assignment.lists, assignment.codes, strict=True
        ):
            index.move_row(key, row, large, list_number, code)
    large.has_rows = False


def _from_lists(index: Grown, large: Large) -> Step:
    old = large.current
    lists = list_count(large.count)
    share = min(1.0, max(_LEAST_SAMPLE, lists * _SAMPLE_PER_LIST) / large.count)
    parts: list[Vectors] = []
    copied = 0
    for number in range(old.lists):
        size = old.size(number)
        if size == 0:
            continue
        _, vectors = old.tail(number, max(1, round(size * share)))
        parts.append(vectors)
        copied += len(vectors)
        if copied >= _SAMPLE_BATCH:
            copied = 0
            yield _nothing
    if not parts:
        return
    training = Training(parts, lists, old)
    yield from _until_done(training)
    large.current, large.draining = training.result, old
    for number in range(old.lists):
        while old.size(number):
            keys, vectors = old.tail(number, _BATCH)
            assignment = Assignment(large.current, vectors)
            yield from _until_done(assignment)
            for key, list_number, code in zip(
                keys, assignment.lists, assignment.codes, strict=True
            ):
                index.move(key, large, list_number, code)
    large.draining = None


class Training:
    """The work of training lists."""

    def __init__(self, parts: list[Vectors], lists: int, old: InvertedLists | None) -> None:
        self._parts = parts
        self._lists = lists
        self._old = old
        self.is_done = False
        self.result: InvertedLists

    def __call__(self) -> None:
        """Train on a sample, given in parts."""
        sample = np.concatenate(self._parts)
        lists = min(self._lists, len(sample))
        self.result = InvertedLists.trained(sample, lists, self._old)
        self.is_done = True


class Assignment:
    """The work of finding vectors' lists."""

    def __init__(self, target: InvertedLists, vectors: Vectors) -> None:
        self._target = target
        self._vectors = vectors
        self.is_done = False
        self.lists: list[int] = []
        self.codes: Code

    def __call__(self) -> None:
        """Find the list and the code of each vector."""
        lists, self.codes = self._target.assign(self._vectors)
        self.lists = lists.tolist()
        self.is_done = True


def _until_done(work: Training | Assignment) -> Step:
    # Work that was cancelled, or failed for want of memory, is tried again: a partition must not
    # stay half moved.
    while not work.is_done:
        yield work


def _nothing() -> None:
    """Give way to others between two steps."""
