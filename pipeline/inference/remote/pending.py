"""What waits for a node: the oldest first, and together with what is like it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pipeline.inference.contract import Reading

# Texts of less than 2 KiB are alike: what they cost is mostly the call.
_SHORT_BITS = 11


@dataclass(eq=False, slots=True)
class Waiting:
    """A text that somebody waits for.

    Args:
        text: in UTF-8.
        heads: what is asked of it.
        deadline_s: monotonic time after which nobody waits.
        reading: what it comes to; done when its caller has gone.
        tried: addresses that had their chance.
        is_alone: whether it goes without others, since a call with it among others was refused.
    """

    text: bytes
    heads: frozenset[str]
    deadline_s: float
    reading: asyncio.Future[Reading]
    tried: set[str] = field(default_factory=set)
    is_alone: bool = False


class Pending:
    """The queue.

    Args:
        most_texts: in one call.
        most_bytes: of texts in one call; a larger one goes alone.
    """

    def __init__(self, most_texts: int, most_bytes: int) -> None:
        self._most_texts = most_texts
        self._most_bytes = most_bytes
        # A dict of its own kind: one that is emptied at the front gets slow.
        self._queue: OrderedDict[Waiting, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._queue)

    def __iter__(self) -> Iterator[Waiting]:
        """Iterate over what waits now, whatever leaves meanwhile."""
        return iter(list(self._queue))

    def add(self, waiting: Waiting) -> None:
        """Let one wait behind all others."""
        self._queue[waiting] = None

    def put_back(self, waiting: Waiting) -> None:
        """Let one wait before all others, for it has waited before."""
        self._queue[waiting] = None
        self._queue.move_to_end(waiting, last=False)

    def remove(self, waiting: Waiting) -> None:
        """Let one go, if it waits at all."""
        self._queue.pop(waiting, None)

    def take(self, fits: Callable[[Waiting], bool]) -> list[Waiting]:
        """Take what goes with the next call of a node; nothing where nothing fits it.

        Args:
            fits: whether one may go there.
        """
        taken: list[Waiting] = []
        size_bytes = 0
        for waiting in self._queue:
            if len(taken) == self._most_texts or (taken and taken[0].is_alone):
                break
            if not fits(waiting) or (taken and not self._goes_with(waiting, taken[0], size_bytes)):
                continue
            taken.append(waiting)
            size_bytes += len(waiting.text)
        for waiting in taken:
            del self._queue[waiting]
        return taken

    def _goes_with(self, waiting: Waiting, first: Waiting, size_bytes: int) -> bool:
        return (
            waiting.heads == first.heads
            and not waiting.is_alone
            and _size_class(waiting) == _size_class(first)
            and size_bytes + len(waiting.text) <= self._most_bytes
        )


def _size_class(waiting: Waiting) -> int:
    """Return the same for texts that take about as long.

    A call is answered when its last text has been read: short ones would wait for long ones.
    """
    return max(len(waiting.text).bit_length(), _SHORT_BITS) // 2
