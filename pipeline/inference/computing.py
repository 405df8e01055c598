"""The thread that owns the device: it loads the model and computes batch after batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from pipeline.inference.contract import InferenceError, Model, Reading, Rows
from pipeline.inference.pace import Pace
from pipeline.inference.pooling import pool
from pipeline.inference.queueing import Piece, Queue
from pipeline.inference.waiting import Outcome, Pass, Waiting

Outcomes = list[tuple[Waiting, Outcome]]


class Computer:
    """Computes what waits; `put` and `stop` may be called by any thread.

    Args:
        pace: decides how much is computed at once.
        done: takes the outcomes of each pass.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        pace: Pace,
        done: Callable[[Outcomes, Pass], None],
        clock: Callable[[], float],
    ) -> None:
        self._pace = pace
        self._queue = Queue[Waiting]()
        self._done = done
        self._clock = clock
        self._inbox: SimpleQueue[Sequence[Waiting] | None] = SimpleQueue()

    def put(self, texts: Sequence[Waiting]) -> None:
        """Let texts be computed, which are tokenised."""
        self._inbox.put(texts)

    def stop(self) -> None:
        """Let `run` return after the pass that runs; what waits is forgotten."""
        self._inbox.put(None)

    def run(self, model: Model) -> None:
        """Compute until stopped."""
        while self._receive():
            how_much = self._pace.batch_tokens, self._pace.pass_tokens
            if pieces := self._queue.take(self._clock(), *how_much):
                self._compute(model, pieces)
        self._queue.clear()

    def _receive(self) -> bool:
        """Take in what has come, waiting for something; say whether to go on."""
        try:
            while True:
                texts = self._inbox.get(block=not self._queue)
                if texts is None:
                    return False
                for text in texts:
                    self._queue.put(text, [len(w.ids) for w in text.prepared.windows])
        except Empty:
            return True

    def _compute(self, model: Model, pieces: Sequence[Piece[Waiting]]) -> None:
        # By text, its windows and their rows, in the order of the windows.
        places: dict[Waiting, list[tuple[int, int]]] = {}
        for row, piece in enumerate(pieces):
            piece.entry.is_begun = True
            places.setdefault(piece.entry, []).append((piece.window, row))
        for found in places.values():
            found.sort()
        windows = [piece.entry.prepared.windows[piece.window] for piece in pieces]
        heads = frozenset().union(*{text.heads for text in places})
        began_s = self._clock()
        try:
            rows = model.forward(windows, heads)
            forward_s = self._clock() - began_s
            outcomes = _outcomes(model, places, rows, len(pieces))
        except BaseException as error:  # noqa: BLE001 a model may raise anything
            forward_s = self._clock() - began_s
            outcomes = [(text, _failure(error)) for text in places]
        for text, outcome in outcomes:
            # What else of it waits has nobody to wait for it.
            text.is_gone = text.is_gone or isinstance(outcome, InferenceError)
        tokens = sum(piece.length for piece in pieces)
        padded = len(pieces) * pieces[-1].length
        self._pace.note(padded, forward_s)
        self._done(outcomes, Pass(len(pieces), tokens, padded, forward_s))


def _outcomes(
    model: Model, places: dict[Waiting, list[tuple[int, int]]], rows: Rows, count: int
) -> Outcomes:
    """Return what comes of a pass; nothing for texts with windows that still wait."""
    for name, vectors in rows.items():
        if len(vectors) != count:
            raise ValueError(f"{len(vectors)} rows of {name!r} for {count} windows")
    whole: dict[frozenset[str], list[Waiting]] = {}
    outcomes: Outcomes = []
    for text, found in places.items():
        if text.is_gone:
            continue
        if len(found) == len(text.prepared.windows):
            whole.setdefault(text.heads, []).append(text)
            continue
        its = [row for _, row in found]
        every = text.collect([w for w, _ in found], {n: rows[n][its] for n in text.heads})
        if every is not None:
            outcomes += _pooled(model, [text], every)
    for heads, texts in whole.items():
        its = [row for text in texts for _, row in places[text]]
        outcomes += _pooled(model, texts, {name: rows[name][its] for name in heads})
    return outcomes


def _pooled(model: Model, texts: Sequence[Waiting], rows: Rows) -> Outcomes:
    prepared = [text.prepared for text in texts]
    heads = [model.heads[name] for name in rows]
    readings: Sequence[Reading | InferenceError]
    try:
        readings = pool(prepared, rows, heads)
    except InferenceError as error:
        if len(texts) == 1:
            return [(texts[0], error)]
        # One text that the model makes nothing of is no fault of those beside it.
        outcomes: Outcomes = []
        start = 0
        for text in texts:
            end = start + len(text.prepared.windows)
            outcomes += _pooled(model, [text], {n: r[start:end] for n, r in rows.items()})
            start = end
        return outcomes
    return list(zip(texts, readings, strict=True))


def _failure(error: BaseException) -> InferenceError:
    failure = InferenceError(f"the model failed: {type(error).__name__}", "model_failed")
    failure.__cause__ = error
    return failure
