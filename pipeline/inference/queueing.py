"""What is computed next: windows that wait, by deadline, in batches of like length."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Generic, NamedTuple, Protocol, TypeVar


class Entry(Protocol):
    """A text that waits."""

    @property
    def deadline_s(self) -> float:
        """Monotonic time after which nobody waits for it."""

    @property
    def is_gone(self) -> bool:
        """Whether nobody waits for it any more; it is then never taken."""


E = TypeVar("E", bound=Entry)


class Piece(NamedTuple, Generic[E]):
    """One window of a text.

    Args:
        entry: the text.
        window: which of its windows.
        length: tokens, special ones among them.
    """

    entry: E
    window: int
    length: int


_Waiting = tuple[float, int, Piece[E]]


class Queue(Generic[E]):
    """Windows that wait for the device; it knows no clock, no thread and no model.

    A batch begins with the window whose deadline is the earliest, then takes windows of about
    its length, then of others as long as the padding costs less than another pass would.

    """

    def __init__(self) -> None:
        self._buckets: dict[int, list[_Waiting[E]]] = {}
        self._order = count()

    def __bool__(self) -> bool:
        """Say whether anything may wait; what is gone is only found when its turn comes."""
        return bool(self._buckets)

    def put(self, entry: E, lengths: Sequence[int]) -> None:
        """Let an entry's windows wait, whose lengths in tokens these are."""
        for index, length in enumerate(lengths):
            waiting = (entry.deadline_s, next(self._order), Piece(entry, index, length))
            heappush(self._buckets.setdefault(bucket(length), []), waiting)

    def take(self, now_s: float, batch_tokens: int, pass_tokens: int) -> list[Piece[E]]:
        """Remove and return what is computed next, shortest first; nothing if nothing waits.

        Args:
            now_s: monotonic; whose deadline has passed is dropped.
            batch_tokens: tokens in a batch, padding among them; a longer window goes alone.
            pass_tokens: tokens that take as long as what a pass costs whatever is in it: few on
                a CPU, thousands on a GPU.
        """
        tops = {size: top for size in self._buckets if (top := self._top(size, now_s)) is not None}
        batch = _Batch[E](batch_tokens, pass_tokens)
        if tops:
            alike = min(tops, key=lambda size: tops[size][:2])
            for size in sorted(tops, key=lambda size: abs(size - alike)):
                while (top := self._top(size, now_s)) is not None:
                    if not batch.add(top[2], is_alike=size == alike):
                        break
                    heappop(self._buckets[size])
        self._buckets = {size: heap for size, heap in self._buckets.items() if heap}
        batch.pieces.sort(key=lambda piece: piece.length)
        return batch.pieces

    def clear(self) -> None:
        """Forget all that waits."""
        self._buckets.clear()

    def _top(self, size: int, now_s: float) -> _Waiting[E] | None:
        """Return what is first in a bucket, having dropped what nobody waits for."""
        heap = self._buckets[size]
        while heap and (heap[0][2].entry.is_gone or heap[0][0] <= now_s):
            heappop(heap)
        return heap[0] if heap else None


class _Batch(Generic[E]):
    """Windows that are to be computed together."""

    def __init__(self, batch_tokens: int, pass_tokens: int) -> None:
        self.pieces: list[Piece[E]] = []
        self._batch_tokens = batch_tokens
        self._pass_tokens = pass_tokens
        self._longest = 0
        self._tokens = 0

    def add(self, piece: Piece[E], *, is_alike: bool) -> bool:
        """Add a window unless that costs too much; say whether it did."""
        longest = max(self._longest, piece.length)
        tokens = self._tokens + piece.length
        padded = (len(self.pieces) + 1) * longest
        is_cheap = is_alike or padded - tokens <= self._pass_tokens
        if self.pieces and not (padded <= self._batch_tokens and is_cheap):
            return False
        self.pieces.append(piece)
        self._longest = longest
        self._tokens = tokens
        return True


def bucket(length: int) -> int:
    """Return the length that a bucket of windows is padded to at most: an eighth more, or 8."""
    step = 1 << max(3, length.bit_length() - 4)
    return -(-length // step) * step
