"""The response side of an exchange: the chain in reverse, over headers, a whole answer, events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.api.answer import Answer, Event
from pipeline.api.decisions import Decision, Refuse, Reply, Rewrite
from pipeline.api.exchange import Response, advance
from pipeline.api.headers import NO_EDITS, HeaderEdits, Headers
from pipeline.api.sse import Frame
from pipeline.dialects.encoding import Inflater
from pipeline.errors import InvalidCall
from pipeline.host import replies
from pipeline.host.chain import Chain
from pipeline.host.names import DETAILS_ATTRIBUTE, VIA_UPSTREAM
from pipeline.host.policy import Policy
from pipeline.host.reading import read_answer
from pipeline.host.streaming import StreamedAnswer, show_answer, unfolded
from pipeline.host.verdicts import PROCEED, Emit, Finish, Pairs, Proceed, Verdict, Wish

_UNREADABLE = "the provider's answer is not one that this route's plugins can read"


class ResponseSide:
    """Runs the response phases of one exchange.

    Args:
        policy: runs hooks.
        chain: the route's chain.
        max_bytes: the longest answer that is held.
        before: only instances before this place in the route's list; all if None.
    """

    def __init__(
        self, policy: Policy, chain: Chain, max_bytes: int, before: int | None = None
    ) -> None:
        self._policy = policy
        self._chain = chain
        self._max_bytes = max_bytes
        self._before = before
        self.status = 0
        self.holds_headers = False
        self.is_watched = True
        self._edits = NO_EDITS
        self._encoding = ""
        self._stream: StreamedAnswer | None = None

    async def headers(self, pairs: Pairs, *, ends: bool, attributes: Mapping[str, str]) -> Verdict:
        """Decide on the headers of an upstream's response, and how its body is wanted."""
        status = self.status = _status(pairs)
        via_upstream = attributes.get(DETAILS_ATTRIBUTE) == VIA_UPSTREAM
        headers = Headers(pair for pair in pairs if pair[0][:1] != ":")
        response = Response(status, headers, via_upstream)
        advance(self._policy.exchange, response=response)
        refused = await self._headers_phase()
        if refused is not None:
            return refused
        wish = "skip" if ends else self._wish(response)
        if wish is None:
            return self._word(Refuse(502, "unreadable_answer", _UNREADABLE))
        edits, self._edits = self._edits, NO_EDITS
        return Proceed(edits=edits, wish=wish, encoding=self._encoding if wish == "events" else "")

    async def body(self, body: bytes) -> Verdict:
        """Decide on a whole answer."""
        exchange = self._policy.exchange
        dialect, response = exchange.dialect, exchange.response
        assert dialect is not None  # noqa: S101 - a body is wanted for calls alone
        assert response is not None  # noqa: S101 - headers come first
        answer = read_answer(body, self._encoding, dialect, self._max_bytes)
        if answer is None:
            if self._requires_reading():
                return self._word(Refuse(502, "unreadable_answer", _UNREADABLE))
            return PROCEED
        refused = await self._answer_phase(answer)
        if refused is not None:
            return refused
        last = self._seen_answer()
        edits, self._edits = self._edits, NO_EDITS
        if last is answer:
            return Proceed(edits=edits)
        if self._encoding:
            edits = edits.then(HeaderEdits(remove=frozenset({"content-encoding"})))
        return Proceed(edits=edits, body=last.encode())

    async def events(self, frames: list[Frame], *, ended: bool) -> Emit:
        """Decide on complete events of a stream."""
        exchange = self._policy.exchange
        if self._stream is None or exchange.dialect is None:
            return Emit(b"".join(frame.raw for frame in frames), is_original=True)
        decode = exchange.dialect.decode_event
        events = [decode(frame.raw, frame.name, frame.data) for frame in frames]
        out = await self._stream.feed(events, ended=ended)
        data = b"".join([event.raw for event in out])
        # Events are equal only where they are the same.
        return Emit(data, is_original=out == events, end=self._stream.is_ended)

    async def piece(self, data: bytes, *, ended: bool) -> Emit:
        """Leave the bytes as they are: the chain sees events."""
        del ended
        return Emit(data, is_original=True)

    def fault(self, *, status: int, code: str, message: str) -> Emit:
        """End a stream that has begun with the error event of the client's API."""
        dialect = self._policy.exchange.dialect
        if dialect is None:
            return Emit(b"", is_original=False, end=True)
        events = dialect.error_events(status=status, code=code, message=message)
        return Emit(b"".join(event.raw for event in events), is_original=False, end=True)

    async def replied(self, answer: Answer, headers: HeaderEdits, *, streamed: bool) -> Finish:
        """Run a plugin's reply through the plugins before it, and deliver it."""
        exchange = self._policy.exchange
        content_type = replies.SSE if streamed else replies.JSON
        response = Response(
            200,
            Headers([("content-type", content_type.encode())]).edited(headers),
            via_upstream=False,
            streamed=streamed,
        )
        advance(exchange, response=response)
        self._edits = headers
        refused = await self._headers_phase()
        if refused is not None:
            return refused
        if streamed:
            events = await self._streamed(answer)
            return replies.streamed_reply(events, self._edits.set)
        refused = await self._answer_phase(answer)
        return refused or replies.reply(self._seen_answer(), self._edits.set)

    async def refused(self, refuse: Refuse) -> Finish:
        """Show a plugin's refusal to the plugins before it, and word it."""
        response = Response(refuse.status, Headers().edited(refuse.headers), via_upstream=False)
        advance(self._policy.exchange, response=response)
        self._edits = refuse.headers
        again = await self._headers_phase()
        return again or self._word(refuse)

    async def _streamed(self, answer: Answer) -> list[Event]:
        stream = self._open_stream(answer)
        return await stream.feed(unfolded(self._policy.exchange, answer), ended=True)

    def _open_stream(self, answer: Answer | None = None) -> StreamedAnswer:
        dialect = answer.dialect if answer is not None else self._policy.exchange.dialect
        assert dialect is not None  # noqa: S101 - only calls have streamed answers
        before = self._before
        hooks = [b for b in self._chain.stream if before is None or b.index < before]
        self._stream = StreamedAnswer(self._policy, hooks, dialect, self._max_bytes)
        return self._stream

    def _wish(self, response: Response) -> Wish | None:
        """Say how the body is wanted; None when it must be read and cannot be."""
        exchange = self._policy.exchange
        is_answer = exchange.call is not None and 200 <= response.status < 300
        if not (is_answer and self._chain.reads_response):
            return "skip"
        content_type = response.headers.get("content-type").partition(";")[0].strip().lower()
        encoding = response.headers.get("content-encoding").lower()
        if content_type == replies.SSE:
            return self._stream_wish(response, encoding)
        if content_type == replies.JSON or content_type.endswith("+json"):
            self._encoding = "" if encoding == "identity" else encoding
            return "whole"
        return None if self._requires_reading() else "skip"

    def _stream_wish(self, response: Response, encoding: str) -> Wish | None:
        if encoding not in {"", "identity"}:
            try:
                Inflater(encoding, self._max_bytes)
            except InvalidCall:
                return None if self._requires_reading() else "skip"
            self._encoding = encoding
            gone = frozenset({"content-encoding"})
            self._edits = self._edits.then(HeaderEdits(remove=gone))
        advance(self._policy.exchange, response=replace(response, streamed=True))
        self._open_stream()
        return "events"

    def _requires_reading(self) -> bool:
        hooks = self._chain.stream
        return any(
            b.instance.fails_closed
            and self._policy.is_enforced(b.instance)
            and self._policy.is_active(b.instance)
            for b in hooks
        )

    async def _headers_phase(self) -> Finish | None:
        ended = await self._policy.run(self._chain.response_headers, self._apply, self._before)
        return self._word(ended[0]) if ended is not None else None

    async def _answer_phase(self, answer: Answer) -> Finish | None:
        show_answer(self._policy.exchange, answer)
        ended = await self._policy.run(self._chain.response, self._apply, self._before)
        return self._word(ended[0]) if ended is not None else None

    def _apply(self, decision: Decision) -> Refuse | Reply | None:
        match decision:
            case Rewrite(answer=answer, headers=headers):
                if headers:
                    self._edits = self._edits.then(headers)
                    self._show_edited(headers)
                if answer is not None:
                    show_answer(self._policy.exchange, answer)
                return None
            case Refuse():
                return decision
            case _:
                return None

    def _show_edited(self, edits: HeaderEdits) -> None:
        seen = self._policy.exchange.response
        if seen is not None:
            headers = seen.headers.edited(edits.without_pseudo())
            advance(self._policy.exchange, response=replace(seen, headers=headers))

    def _word(self, refuse: Refuse | Reply) -> Finish:
        assert isinstance(refuse, Refuse)  # noqa: S101 - `checked` lets no Reply through
        return replies.refusal(
            self._policy.exchange.dialect,
            status=refuse.status,
            code=refuse.code,
            message=refuse.message,
            headers=refuse.headers.set,
        )

    def _seen_answer(self) -> Answer:
        response = self._policy.exchange.response
        assert response is not None  # noqa: S101
        assert response.answer is not None  # noqa: S101
        return response.answer


def _status(pairs: Pairs) -> int:
    given = next((value for name, value in pairs if name == ":status"), b"")
    return int(given) if len(given) == 3 and given.isdigit() else 0
