"""A response at the router level whose attempt was folded into it: translated, then for the chain.

Plugins see the client's own format: the status that translation gave the answer, its events, its
document. Where that takes the whole body, the chain's look at the headers waits for it as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.api.headers import Headers
from pipeline.api.sse import Frame, FrameDecoder
from pipeline.host.names import DETAILS_ATTRIBUTE, VIA_UPSTREAM
from pipeline.host.response import ResponseSide
from pipeline.host.translating import TranslatedResponse
from pipeline.host.verdicts import Emit, Finish, Pairs, Proceed, Verdict


class FoldedResponse:
    """Runs one response through its translation and then through the chain.

    Args:
        translated: the provider's part.
        side: the chain's part.
        max_event_bytes: the largest event.
        is_watched: whether any plugin looks at responses.
    """

    def __init__(
        self,
        translated: TranslatedResponse,
        side: ResponseSide,
        max_event_bytes: int,
        *,
        is_watched: bool,
    ) -> None:
        self.is_watched = is_watched
        self._translated = translated
        self._side = side
        self._max_event_bytes = max_event_bytes
        self._is_translated = False
        self._decoder: FrameDecoder | None = None
        self._pairs: Pairs = ()
        self._attributes: Mapping[str, str] = {}
        self.holds_headers = False

    @property
    def status(self) -> int:
        """The status that the client gets, 0 before it is known."""
        return self._side.status or self._translated.status

    async def headers(self, pairs: Pairs, *, ends: bool, attributes: Mapping[str, str]) -> Verdict:
        """Decide on the headers of a response, and how its body is wanted."""
        if attributes.get(DETAILS_ATTRIBUTE, VIA_UPSTREAM) != VIA_UPSTREAM:
            # Envoy's own error, which no provider has worded.
            return await self._side.headers(pairs, ends=ends, attributes=attributes)
        first = self._translated.headers(pairs, ends=ends)
        self._is_translated = isinstance(first, Proceed) and first.wish != "skip"
        if not self.is_watched:
            return first
        self._attributes = attributes
        if isinstance(first, Finish):
            return await self._failed(first)
        self._pairs = Headers(pairs).edited(first.edits).pairs
        if first.body is not None:
            return await self._whole(first, first.body)
        if ends or first.wish == "skip":
            then = await self._side.headers(self._pairs, ends=ends, attributes=attributes)
            return _joined(first, then)
        if first.wish == "whole":
            self.holds_headers = True
            return first
        then = await self._side.headers(self._pairs, ends=False, attributes=attributes)
        if isinstance(then, Finish):
            return then
        if then.wish == "events":
            self._decoder = FrameDecoder(self._max_event_bytes)
        wish = "whole" if then.wish == "whole" else first.wish
        return Proceed(first.edits.then(then.edits), wish=wish, encoding=first.encoding)

    async def body(self, body: bytes) -> Verdict:
        """Decide on a whole body."""
        if not self._is_translated:
            return await self._side.body(body)
        made = self._translated.body(body)
        if not self.is_watched:
            return made
        if self.holds_headers:
            self._pairs = Headers(self._pairs).edited(made.edits).pairs
            return await self._whole(made, made.body or b"")
        return _joined(made, await self._side.body(made.body or b""))

    async def events(self, frames: list[Frame], *, ended: bool) -> Emit:
        """Decide on complete events of a stream that nobody translates."""
        return await self._side.events(frames, ended=ended)

    async def piece(self, data: bytes, *, ended: bool) -> Emit:
        """Decide on a piece of a stream.

        Raises:
            FrameTooLong: the chain would have to hold an event that is too large.
        """
        made = self._translated.piece(data, ended=ended)
        decoder = self._decoder
        if decoder is None:
            return made
        is_over = ended or made.end
        frames = decoder.feed(made.data)
        if is_over:
            frames += decoder.finish()
        if not frames and not is_over:
            return Emit(b"", is_original=False)
        seen = await self._side.events(frames, ended=is_over)
        return Emit(seen.data, is_original=False, end=seen.end or made.end)

    def fault(self, *, status: int, code: str, message: str) -> Emit:
        """End the stream with an error."""
        part = self._translated if self._is_translated else self._side
        return part.fault(status=status, code=code, message=message)

    async def _whole(self, made: Proceed, body: bytes) -> Verdict:
        """Show the chain a translated answer, whose headers are still held back."""
        self.holds_headers = False
        edits = made.edits
        then = await self._side.headers(self._pairs, ends=not body, attributes=self._attributes)
        if isinstance(then, Finish):
            return then
        edits = edits.then(then.edits)
        if then.wish == "whole":
            seen = await self._side.body(body)
            if isinstance(seen, Finish):
                return seen
            edits, body = edits.then(seen.edits), body if seen.body is None else seen.body
        elif then.wish == "events":
            decoder = FrameDecoder(len(body))
            frames = decoder.feed(body) + decoder.finish()
            body = (await self._side.events(frames, ended=True)).data
        return Proceed(edits, body)

    async def _failed(self, finish: Finish) -> Verdict:
        """Show the chain the error that stands in for a response."""
        given = [(name, value.encode()) for name, value in finish.headers.items()]
        pairs = ((":status", str(finish.status).encode()), *given)
        then = await self._side.headers(pairs, ends=True, attributes={})
        if isinstance(then, Finish):
            return then
        kept = {n: v for n, v in finish.headers.items() if n not in then.edits.remove}
        headers = {**kept, **then.edits.set}
        return Finish(finish.status, headers, finish.body, finish.code)


def _joined(first: Proceed, then: Verdict) -> Verdict:
    if isinstance(then, Finish):
        return then
    body = first.body if then.body is None else then.body
    return replace(then, edits=first.edits.then(then.edits), body=body)
