"""The batcher: a model in this process as a source of readings; texts that wait go together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from threading import Thread

from pipeline.errors import DragomanError
from pipeline.inference.computing import Computer, Outcomes
from pipeline.inference.contract import Head, InferenceError, Model, Prepared, Reading
from pipeline.inference.pace import Pace
from pipeline.inference.tokenising import Tokeniser
from pipeline.inference.waiting import Pass, Waiting

# A pass that hangs in a driver must not keep the process from ending.
_JOIN_S = 30.0
# Beyond it no timer is needed, and some event loops take none.
_FAR_S = 86_400.0


class Batcher:
    """Reads texts with a model, batch after batch: what waits when the device frees goes next.

    One thread tokenises and one owns the device; the event loop waits for neither of them.

    Args:
        make: loads the model; called by the thread that owns the device.
        batch_tokens: tokens in one pass, padding among them.
        queue: texts that may wait; one more is refused.
        pass_s: about how long one may take: a slow device computes less at once.
        cost_s: what a pass takes whatever is in it; padding that takes less is no loss.
        max_characters: of a text; a longer one would hold up all others, and is refused.
        clock: monotonic seconds.
        watch: sees every pass, on the event loop.
    """

    def __init__(
        self,
        make: Callable[[], Model],
        *,
        batch_tokens: int = 8192,
        queue: int = 1024,
        pass_s: float = 0.05,
        cost_s: float = 0.0005,
        max_characters: int = 1_000_000,
        clock: Callable[[], float] = time.monotonic,
        watch: Callable[[Pass], None] | None = None,
    ) -> None:
        self._make = make
        self._max_waiting = queue
        self._max_characters = max_characters
        self._clock = clock
        self._watch = watch
        pace = Pace(batch_tokens, pass_s=pass_s, cost_s=cost_s)
        self._computer = Computer(pace, self._post_outcomes, clock)
        self._tokeniser = Tokeniser(self._prepare, self._computer.put, self._post_failure)
        self._model: Model | None = None
        self._is_open = False
        self._outstanding: set[Waiting] = set()
        self._arrived: list[Waiting] = []
        self._threads: list[Thread] = []

    @property
    def identity(self) -> str:
        """The model's."""
        return self._loaded.identity

    @property
    def heads(self) -> Mapping[str, Head]:
        """The model's."""
        return self._loaded.heads

    @property
    def waiting(self) -> int:
        """How many texts wait, tokenised or not, for the first pass that takes them."""
        return sum(not text.is_begun for text in self._outstanding)

    async def start(self) -> None:
        """Load the model and warm it up.

        Raises:
            InferenceError: it cannot be loaded.
        """
        self._loop = asyncio.get_running_loop()
        loaded: asyncio.Future[None] = self._loop.create_future()
        self._begin("dragoman-forward", lambda: self._own_device(loaded))
        try:
            await loaded
        except asyncio.CancelledError:
            self._computer.stop()
            raise
        self._begin("dragoman-prepare", self._tokeniser.run)
        self._is_open = True

    async def read(self, text: str, heads: Collection[str], deadline_s: float) -> Reading:
        """Return the heads' reading of a text; see `Source`.

        Raises:
            InferenceError: it could not be had.
            LookupError: the model has no such head.
        """
        left_s = deadline_s - self._clock()
        self._admit(text, heads, left_s)
        waiting = Waiting(text, frozenset(heads), deadline_s, self._loop.create_future())
        self._outstanding.add(waiting)
        timer = None
        if left_s < _FAR_S:
            timer = self._loop.call_later(left_s, self._expire, waiting)
        try:
            # What arrives in one turn of the loop goes together, and wakes the thread once.
            if not self._arrived:
                self._loop.call_soon(self._pass_on)
            self._arrived.append(waiting)
            return await waiting.future
        finally:
            waiting.is_gone = True
            waiting.text = ""
            self._outstanding.discard(waiting)
            if timer is not None:
                timer.cancel()

    async def close(self) -> None:
        """Refuse what waits, let the pass that runs end, and give the model back."""
        self._is_open = False
        self._refuse(text for text in self._outstanding if not text.is_begun)
        self._tokeniser.stop()
        self._computer.stop()
        for thread in self._threads:
            await asyncio.to_thread(thread.join, _JOIN_S)
        self._refuse(self._outstanding)

    @property
    def _loaded(self) -> Model:
        if self._model is None:
            raise InferenceError("the model is not loaded", "unavailable")
        return self._model

    def _admit(self, text: str, heads: Collection[str], left_s: float) -> None:
        if not self._is_open:
            raise _closed()
        if unknown := set(heads).difference(self._loaded.heads):
            raise LookupError(f"the model has no head {sorted(unknown)}")
        if left_s <= 0:
            raise _late()
        if len(text) > self._max_characters:
            raise InferenceError(
                f"the text has {len(text)} characters; at most {self._max_characters} are read",
                "text_too_large",
            )
        # Counted only where it may matter.
        if len(self._outstanding) >= self._max_waiting and self.waiting >= self._max_waiting:
            raise InferenceError(
                f"{self._max_waiting} texts wait for the model; `inference.queue` allows no more",
                "queue_full",
            )

    def _begin(self, name: str, target: Callable[[], None]) -> None:
        thread = Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    # --- on the threads

    def _own_device(self, loaded: asyncio.Future[None]) -> None:
        model = None
        try:
            model = self._make()
            model.warm()
        except BaseException as error:  # noqa: BLE001 `start` raises it
            self._post(_settle, loaded, _unloaded(error))
        else:
            self._model = model
            self._post(_settle, loaded, None)
            self._computer.run(model)
        finally:
            self._post(self._end)
            if model is not None:
                model.close()

    def _prepare(self, texts: Sequence[str], heads: Collection[str]) -> list[Prepared]:
        return self._loaded.prepare(texts, heads)

    def _post_outcomes(self, outcomes: Outcomes, what: Pass) -> None:
        self._post(self._deliver, outcomes, what)

    def _post_failure(self, text: Waiting, error: InferenceError) -> None:
        self._post(self._deliver, [(text, error)], None)

    # --- on the event loop

    def _pass_on(self) -> None:
        arrived, self._arrived = self._arrived, []
        self._tokeniser.put(arrived)

    def _deliver(self, outcomes: Outcomes, what: Pass | None) -> None:
        if what is not None and self._watch is not None:
            self._watch(what)
        for waiting, outcome in outcomes:
            if waiting.future.done():
                continue
            if isinstance(outcome, InferenceError):
                waiting.future.set_exception(outcome)
            else:
                waiting.future.set_result(outcome)

    def _expire(self, waiting: Waiting) -> None:
        self._deliver([(waiting, _late())], None)

    def _refuse(self, texts: Iterable[Waiting]) -> None:
        self._deliver([(waiting, _closed()) for waiting in texts], None)

    def _end(self) -> None:
        self._is_open = False
        self._refuse(self._outstanding)

    def _post(self, function: Callable[..., None], *args: object) -> None:
        # The loop may be closed before its threads have ended.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *args)


def _settle(loaded: asyncio.Future[None], error: DragomanError | None) -> None:
    if loaded.done():
        return
    if error is None:
        loaded.set_result(None)
    else:
        loaded.set_exception(error)


def _unloaded(error: BaseException) -> DragomanError:
    if isinstance(error, DragomanError):
        return error
    failure = InferenceError(
        f"the model cannot be loaded: {type(error).__name__}: {error}", "unavailable"
    )
    failure.__cause__ = error
    return failure


def _closed() -> InferenceError:
    return InferenceError("the model is not running", "unavailable")


def _late() -> InferenceError:
    return InferenceError("the text was not read in time", "deadline")
