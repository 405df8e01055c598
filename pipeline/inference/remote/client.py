"""The client: a source of readings whose model is on other nodes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial

from pipeline.config.tls import BackendTlsConfig
from pipeline.inference.contract import Head, InferenceError, Reading
from pipeline.inference.remote.breaker import Breaker
from pipeline.inference.remote.faults import NONSENSE, UNFIT, Meaning, NodeFault
from pipeline.inference.remote.metadata import Described
from pipeline.inference.remote.model import RemoteModel
from pipeline.inference.remote.node import Node
from pipeline.inference.remote.pending import Pending, Waiting
from pipeline.inference.remote.replies import failure, read_reply
from pipeline.inference.remote.tensors import BadTensor
from pipeline.inference.remote.traffic import Traffic

MAX_TEXT_BYTES = 4_000_000
"""Of one text: a little less than the message that servers take unless told otherwise."""
MAX_TEXTS = 64
"""In one call; our server takes as many."""

# Each is a batch of its own at the node, which makes larger ones of them while its device works.
_MAX_CALLS = 4
_MAX_CALL_BYTES = 2**20
# What a first node may take of the time, where there is a second: what is lost in a black hole
# must leave time to try elsewhere.
_FIRST_SHARE = 0.5
# Nodes that answer do so at once; one that does not may come later.
_START_S = 3.0
# Some event loops take no timer that is much later.
_FAR_S = 86_400.0
_ELSEWHERE = frozenset({"queue_full", "unavailable", "model_failed"})


class RemoteSource:
    """Has texts read by nodes: each goes with the next call of the node that is free first.

    A text whose node was lost, refused it or failed goes to another node, once.

    Args:
        addresses: `grpc://host:port`, `grpcs://host:port` or `unix:/path`.
        model: what is asked of them.
        tls: for `grpcs://`.
        known: the model as this process knows it; a node must have the same. Without it, the
            first node that answers says which it is.
        queue: texts that may wait.
        clock: monotonic seconds.
        chance: a number from 0 up to 1, at random.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        model: RemoteModel,
        *,
        tls: BackendTlsConfig | None = None,
        known: Described | None = None,
        queue: int = 1024,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._model = model
        self._known = model.described or known
        self._clock = clock
        self._queue = queue
        self._pending = Pending(MAX_TEXTS, _MAX_CALL_BYTES)
        self._nodes = [
            Node(address, model, tls, Breaker(clock, chance), self._admit, self._changed)
            for address in dict.fromkeys(addresses)
        ]
        self._is_closed = False
        self._is_scheduled = False
        self._found = asyncio.Event()
        self._keeping: list[asyncio.Task[None]] = []
        self._calls: dict[Waiting, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()

    @property
    def identity(self) -> str:
        """The model's name and hash; empty as long as no node has told."""
        return self._known.identity if self._known is not None else ""

    @property
    def heads(self) -> Mapping[str, Head]:
        """The model's heads; none as long as no node has told."""
        return self._known.heads if self._known is not None else {}

    @property
    def up(self) -> Mapping[str, bool]:
        """Whether each address is used now."""
        return {node.address: node.is_up for node in self._nodes}

    @property
    def traffic(self) -> Mapping[str, Traffic]:
        """What became of each address's calls."""
        return {node.address: node.traffic for node in self._nodes}

    async def start(self) -> None:
        """Connect; a node that does not answer is asked again for as long as this is open."""
        self._keeping = [asyncio.create_task(node.keep()) for node in self._nodes]
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_S):
                await self._found.wait()

    async def read(self, text: str, heads: Collection[str], deadline_s: float) -> Reading:
        """Return the heads' reading of a text; see `Source`.

        Raises:
            InferenceError: it could not be had.
            LookupError: the model has no such head.
        """
        waiting = self._waiting(text, frozenset(heads), deadline_s)
        self._pending.add(waiting)
        self._schedule()
        try:
            async with asyncio.timeout(min(deadline_s - self._clock(), _FAR_S)):
                return await waiting.reading
        except TimeoutError:
            # The call has no more time either: that it ends so speaks against its node.
            self._calls.pop(waiting, None)
            raise InferenceError(_SAID["deadline"], "deadline") from None
        finally:
            self._leave(waiting)

    async def close(self) -> None:
        """Refuse what waits, and close every connection."""
        self._is_closed = True
        for waiting in [*self._pending, *self._calls]:
            _fail(waiting, "unavailable")
        tasks = [*self._keeping, *self._running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for node in self._nodes:
            await node.close()

    def _waiting(self, text: str, heads: frozenset[str], deadline_s: float) -> Waiting:
        data = text.encode("utf-8", "replace")
        waiting = Waiting(data, heads, deadline_s, asyncio.get_running_loop().create_future())
        if self._is_closed or not any(_may_go(node, waiting) for node in self._nodes):
            raise InferenceError("no inference node can be reached", "unavailable")
        # Where no node has told of its heads yet, they are looked up when one has.
        if self._known is not None and not heads <= self.heads.keys():
            unknown = ", ".join(sorted(heads - self.heads.keys()))
            raise LookupError(f"the model has no such head: {unknown}")
        if len(data) > MAX_TEXT_BYTES:
            raise InferenceError(f"the text is over {MAX_TEXT_BYTES} bytes", "text_too_large")
        if len(self._pending) >= self._queue:
            raise InferenceError("too many texts wait for an inference node", "queue_full")
        return waiting

    def _leave(self, waiting: Waiting) -> None:
        """See that a caller has gone; a call that nobody waits for any more is cancelled."""
        waiting.reading.cancel()
        self._pending.remove(waiting)
        call = self._calls.pop(waiting, None)
        if call is not None and call not in self._calls.values():
            call.cancel()

    def _admit(self, described: Described) -> bool:
        """Say whether a node has the right model: that of the others, or the one known before."""
        if self._known is not None and described.identity != self._known.identity:
            return False
        self._known = described
        return True

    def _changed(self) -> None:
        if any(n.is_up for n in self._nodes) or all(n.is_known for n in self._nodes):
            self._found.set()
        for waiting in self._pending:
            if not any(_may_go(node, waiting) for node in self._nodes):
                self._pending.remove(waiting)
                _fail(waiting, "unavailable")
        self._schedule()

    def _schedule(self) -> None:
        # Once for all that is said in this turn of the loop: it goes together.
        if not self._is_scheduled and not self._is_closed:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._is_scheduled = False
        while not self._is_closed:
            free = [n for n in self._nodes if n.is_up and n.calls < _MAX_CALLS]
            for node in sorted(free, key=lambda node: node.calls):
                taken = self._pending.take(partial(_may_go, node))
                if taken:
                    break
            else:
                return
            node.calls += 1
            call = asyncio.get_running_loop().create_task(self._call(node, taken))
            self._running.add(call)
            call.add_done_callback(self._running.discard)
            self._calls.update(dict.fromkeys(taken, call))

    async def _call(self, node: Node, taken: list[Waiting]) -> None:
        try:
            for waiting, reading in zip(taken, await self._readings(node, taken), strict=True):
                self._calls.pop(waiting, None)
                if isinstance(reading, Reading):
                    if not waiting.reading.done():
                        waiting.reading.set_result(reading)
                elif reading.code in _ELSEWHERE:
                    self._again(waiting, node, reading.code)
                else:
                    _fail(waiting, reading.code)
        except NodeFault as fault:
            self._failed(node, taken, fault.meaning)
        finally:
            for waiting in taken:
                # Whatever else went wrong, nobody waits for what will not come.
                if self._calls.get(waiting) is asyncio.current_task():
                    del self._calls[waiting]
                    _fail(waiting, "model_failed")
            node.calls -= 1
            self._schedule()

    async def _readings(
        self, node: Node, taken: Sequence[Waiting]
    ) -> list[Reading | InferenceError]:
        """Make a call of a node.

        Raises:
            NodeFault: it failed, or its answer makes no sense.
        """
        heads = [self.heads[name] for name in taken[0].heads if name in self.heads]
        if len(heads) < len(taken[0].heads):
            # It was asked for before any node had told of its heads.
            return [failure("unavailable")] * len(taken)
        time_s = min(max(w.deadline_s for w in taken) - self._clock(), _FAR_S)
        others = [other for other in self._nodes if other is not node]
        if any(_may_go(other, waiting) for waiting in taken for other in others):
            time_s *= _FIRST_SHARE
        outputs = self._model.outputs_of(heads)
        texts = [waiting.text for waiting in taken]
        request = self._model.request(texts, outputs, self.identity, node.text_shape)
        response = await node.infer(request, max(time_s, 0.001))
        if self._model.outputs is None and response.model_version != self.identity:
            node.judge(UNFIT, "it has another model now")
            raise NodeFault("another model", UNFIT)
        try:
            return read_reply(response, outputs, len(taken))
        except BadTensor as error:
            node.complain(str(error))
            raise NodeFault(str(error), NONSENSE) from None

    def _failed(self, node: Node, taken: Sequence[Waiting], meaning: Meaning) -> None:
        for waiting in taken:
            self._calls.pop(waiting, None)
            if meaning.blames_texts and len(taken) > 1:
                waiting.is_alone = True
                self._put_back(waiting)
            elif meaning.elsewhere:
                self._again(waiting, node, meaning.code)
            else:
                _fail(waiting, meaning.code)

    def _again(self, waiting: Waiting, node: Node, code: str) -> None:
        """Let a text have its other chance."""
        is_first = not waiting.tried
        waiting.tried.add(node.address)
        if is_first and any(_may_go(other, waiting) for other in self._nodes):
            node.traffic.retries += not waiting.reading.done()
            self._put_back(waiting)
        else:
            _fail(waiting, code)

    def _put_back(self, waiting: Waiting) -> None:
        if not waiting.reading.done():
            self._pending.put_back(waiting)


def _may_go(node: Node, waiting: Waiting) -> bool:
    return (node.is_up or not node.is_known) and node.address not in waiting.tried


def _fail(waiting: Waiting, code: str) -> None:
    if not waiting.reading.done():
        waiting.reading.set_exception(InferenceError(_SAID[code], code))


_SAID = {
    "unavailable": "no inference node can be reached",
    "queue_full": "every inference node has too much to do",
    "deadline": "no inference node answered in time",
    "model_failed": "an inference node failed at the text",
    "text_too_large": "an inference node says that the text is too large",
}
