"""The questions answered of late: the same call will most likely hit, and needs no embedding."""

from __future__ import annotations

from collections import OrderedDict

_MOST = 100_000


class Recent:
    """Remembers questions by a hash; the oldest are forgotten."""

    def __init__(self) -> None:
        self._hashes: OrderedDict[int, None] = OrderedDict()

    def add(self, question: str) -> None:
        """Remember a question."""
        key = hash(question)
        self._hashes[key] = None
        self._hashes.move_to_end(key)
        if len(self._hashes) > _MOST:
            self._hashes.popitem(last=False)

    def __contains__(self, question: str) -> bool:
        return hash(question) in self._hashes
