"""The thread that tokenises: texts in, earliest deadline first; texts with windows out."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Sequence
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue

from pipeline.inference.contract import InferenceError, Prepared
from pipeline.inference.waiting import Waiting

# Few enough that the device has something to do while the rest is tokenised.
_MAX_CHARACTERS = 32_768

Prepare = Callable[[Sequence[str], Collection[str]], list[Prepared]]


class Tokeniser:
    """Tokenises texts, many at once; `put` and `stop` may be called by any thread.

    Args:
        prepare: a model's.
        give: takes texts that are tokenised.
        fail: takes a text that cannot be.
    """

    def __init__(
        self,
        prepare: Prepare,
        give: Callable[[Sequence[Waiting]], None],
        fail: Callable[[Waiting, InferenceError], None],
    ) -> None:
        self._prepare = prepare
        self._give = give
        self._fail = fail
        self._inbox: SimpleQueue[Sequence[Waiting] | None] = SimpleQueue()
        self._heap: list[tuple[float, int, Waiting]] = []
        self._order = count()

    def put(self, texts: Sequence[Waiting]) -> None:
        """Let texts be tokenised."""
        self._inbox.put(texts)

    def stop(self) -> None:
        """Let `run` return; what waits is forgotten."""
        self._inbox.put(None)

    def run(self) -> None:
        """Tokenise until stopped."""
        while self._receive():
            for heads, texts in self._next().items():
                self._tokenise(texts, heads)

    def _receive(self) -> bool:
        """Take in what has come, waiting for something; say whether to go on."""
        try:
            while True:
                texts = self._inbox.get(block=not self._heap)
                if texts is None:
                    return False
                for text in texts:
                    heappush(self._heap, (text.deadline_s, next(self._order), text))
        except Empty:
            return True

    def _next(self) -> dict[frozenset[str], list[Waiting]]:
        """Return the texts to tokenise now, by what is asked of them."""
        found: dict[frozenset[str], list[Waiting]] = {}
        characters = 0
        while self._heap and characters < _MAX_CHARACTERS:
            text = heappop(self._heap)[2]
            if not text.is_gone:
                characters += len(text.text)
                found.setdefault(text.heads, []).append(text)
        return found

    def _tokenise(self, texts: list[Waiting], heads: frozenset[str]) -> None:
        try:
            prepared = _checked(self._prepare([one.text for one in texts], heads), len(texts))
        except BaseException as error:  # noqa: BLE001 a model may raise anything
            if len(texts) == 1:
                self._fail(texts[0], _failure(error))
                return
            # One text that cannot be tokenised is no fault of those beside it.
            for one in texts:
                self._tokenise([one], heads)
            return
        for one, its in zip(texts, prepared, strict=True):
            one.prepared = its
            one.text = ""
        self._give(texts)


def _checked(prepared: list[Prepared], count: int) -> list[Prepared]:
    if len(prepared) != count or not all(one.windows for one in prepared):
        raise ValueError("a text has no window")
    return prepared


def _failure(error: BaseException) -> InferenceError:
    # A tokeniser's error may hold the text, so it is not chained: its kind and place must do.
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return InferenceError(
        f"the text cannot be tokenised: {type(error).__name__}{place}", "model_failed"
    )
