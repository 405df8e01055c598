"""The state machine of one stream: messages in, questions out, decisions in, answers out.

    replies, ask = machine.receive(message)
    if ask is not None:
        replies += machine.resume(verdict)     # what the host decided

INVARIANT: outside FULL_DUPLEX_STREAMED every message gets exactly one answer of its own kind, in
order, or an immediate one that ends the stream. Bytes that no decision changes go on unchanged.
One exception: where trailers follow in STREAMED mode, an event that its stream leaves unterminated
is dropped, and so is what a translation adds at the end, because an answer to trailers has no place
for bytes. Envoy drops the trailers of HTTP/1.1 by itself; a backend must send them over HTTP/2.
"""

from __future__ import annotations

from pipeline.api.sse import Frame, FrameTooLong
from pipeline.errors import InvalidCall
from pipeline.host.verdicts import Emit, Finish, Proceed
from pipeline.stream.direction import Direction, Stage
from pipeline.stream.messages import (
    Ask,
    AskBody,
    AskBytes,
    AskEvents,
    AskFault,
    Body,
    BodyReply,
    Headers,
    ImmediateReply,
    Message,
    Mode,
    Reply,
    Side,
    Trailers,
    TrailersReply,
)

Step = tuple[list[Reply], Ask | None]


class Machine:
    """One stream.

    Args:
        request_mode: configured body mode of requests.
        response_mode: configured body mode of responses.
        max_request_bytes: the largest request body.
        max_response_bytes: the largest answer that is held.
        max_event_bytes: the largest event of a stream.
    """

    def __init__(
        self,
        request_mode: Mode,
        response_mode: Mode,
        *,
        max_request_bytes: int,
        max_response_bytes: int,
        max_event_bytes: int,
    ) -> None:
        self.request = Direction("request", request_mode, max_request_bytes, max_event_bytes)
        self.response = Direction("response", response_mode, max_response_bytes, max_event_bytes)
        self.is_closed = False
        self.violations = 0
        # What `resume` needs of the message that raised the question.
        self._asked: Message | None = None
        self._body = b""
        self._chunk_is_frames = False
        self._is_asking = False

    @property
    def is_complete(self) -> bool:
        """Whether both directions came as far as Envoy shows them, and nothing is undecided."""
        return (
            not self._is_asking
            and self._is_over(self.request)
            and (self.response.stage is Stage.HEADERS or self._is_over(self.response))
        )

    @property
    def held_bytes(self) -> int:
        """How much of bodies is here, for more to come or for a decision."""
        return self.request.held_bytes + self.response.held_bytes + len(self._body)

    def overloaded(self) -> Ask:
        """Give up the message just received: there is no room for what it brought."""
        self._body = b""
        message = "too much is held at once; try again in a moment"
        return AskFault(503, "overloaded", message, self._in_stream)

    def receive(self, message: Message) -> Step:
        """Take a message.

        Returns:
            Answers that can be given at once, and what must be decided for the rest.
        """
        if self.is_closed:
            return [], None
        self._asked = message
        replies, ask = self._received(message)
        self._is_asking = ask is not None
        return replies, ask

    def _received(self, message: Message) -> Step:
        direction = self.request if message.side == "request" else self.response
        match message:
            case Headers():
                return self._headers(direction, message)
            case Body():
                return self._body_message(direction, message)
            case Trailers():
                return self._trailers(direction)

    def resume(self, verdict: Proceed | Finish | Emit) -> list[Reply]:
        """Take the decision on what `receive` asked and return the answers it leaves."""
        message, self._asked = self._asked, None
        self._is_asking = False
        if isinstance(verdict, Finish):
            self.is_closed = True
            return [ImmediateReply(verdict)]
        if message is None:
            return []
        direction = self.request if message.side == "request" else self.response
        if isinstance(verdict, Emit):
            return self._emitted(direction, message, verdict)
        if isinstance(message, Headers):
            other = self.response if direction is self.request else self.request
            return direction.open_body(verdict, other.mode, ends=message.ends)
        body, self._body = self._body, b""
        if isinstance(message, Trailers):
            replies = direction.release(verdict, body, ends=False)
            # BUFFERED without a body: there is no message that a body could answer.
            answers = replies if direction.is_duplex else []
            return [*answers, self._ended(direction)]
        direction.stage = Stage.DONE if message.ends else Stage.TRAILERS
        return direction.release(verdict, body, ends=message.ends)

    def _headers(self, direction: Direction, message: Headers) -> Step:
        if direction.stage is not Stage.HEADERS:
            return self._violated("headers came twice")
        if message.side == "response":
            # An upstream may answer early; nothing of the request is awaited after that.
            self.request.stage = Stage.DONE
        return [], message

    def _body_message(self, direction: Direction, message: Body) -> Step:
        if direction.stage is Stage.HEADERS:
            return self._violated("a body came before its headers")
        if direction.stage is not Stage.BODY:
            # Seen of Envoy 1.35 and later: the last chunk of a large body comes twice.
            self.violations += 1
            return direction.dropped(), None
        match direction.wish:
            case "whole":
                return self._whole(direction, message)
            case "events":
                return self._events(direction, message.data, ended=message.ends)
            case "bytes":
                return self._bytes(direction, message.data, ended=message.ends)
            case "skip":
                self._close_body(direction, ends=message.ends)
                return direction.passed(message.data, ends=message.ends), None
            case None:
                self._close_body(direction, ends=message.ends)
                return direction.dropped(), None

    def _whole(self, direction: Direction, message: Body) -> Step:
        direction.hold(message.data)
        if direction.held_bytes > direction.max_bytes:
            return self._too_large(direction.side)
        if message.ends or direction.is_whole_at_once:
            self._body = direction.take()
            return [], AskBody(direction.side, self._body)
        return direction.dropped(), None

    def _events(self, direction: Direction, data: bytes, *, ended: bool) -> Step:
        decoder = direction.decoder
        assert decoder is not None  # noqa: S101 - made with the wish
        had_pending = bool(decoder.pending)
        try:
            plain = data if direction.inflater is None else direction.inflater.feed(data)
            frames = decoder.feed(plain)
            if ended:
                frames += decoder.finish()
                frames += [Frame(decoder.pending, "", None)] if decoder.pending else []
        except FrameTooLong:
            return [], AskFault(
                502, "event_too_large", "an event of the answer is too large", self._in_stream
            )
        except InvalidCall as error:
            return [], self._undecodable(error)
        self._chunk_is_frames = not (had_pending or direction.inflater) and (
            ended or not decoder.pending
        )
        if not frames and not ended:
            return direction.dropped(), None
        return [], AskEvents(frames, ended)

    def _bytes(self, direction: Direction, data: bytes, *, ended: bool) -> Step:
        try:
            plain = data if direction.inflater is None else direction.inflater.feed(data)
        except InvalidCall as error:
            return [], self._undecodable(error)
        if not plain and not ended:
            return direction.dropped(), None
        self._chunk_is_frames = direction.inflater is None
        return [], AskBytes(plain, ended)

    def _emitted(self, direction: Direction, message: Message, emit: Emit) -> list[Reply]:
        ends = isinstance(message, Body) and message.ends
        if emit.end:
            direction.wish = None
        if isinstance(message, Trailers):
            last = direction.chunks(emit.data, ends=False) if direction.is_duplex else ()
            return [*last, self._ended(direction)]
        self._close_body(direction, ends=ends)
        if direction.is_duplex:
            return list(direction.chunks(emit.data, ends=ends or emit.end))
        if emit.is_original and self._chunk_is_frames:
            return [BodyReply(direction.side)]
        return [BodyReply(direction.side, emit.data)]

    def _trailers(self, direction: Direction) -> Step:
        if direction.stage is Stage.HEADERS:
            return self._violated("trailers came before their headers")
        if direction.stage is Stage.DONE:
            return self._violated("trailers came after the end")
        if direction.stage is Stage.BODY:
            if direction.wish == "events":
                return self._events(direction, b"", ended=True)
            if direction.wish == "bytes":
                return self._bytes(direction, b"", ended=True)
            if direction.wish == "whole":
                return self._whole_by_trailers(direction)
            if direction.wish is None and direction.is_duplex:
                direction.stage = Stage.DONE  # its end was sent with the last chunk
                return [], None
        return [self._ended(direction)], None

    def _whole_by_trailers(self, direction: Direction) -> Step:
        if direction.mode is Mode.STREAMED and direction.held_bytes:
            message = "a body with trailers needs body mode BUFFERED or FULL_DUPLEX_STREAMED"
            return [], AskFault(502, "trailers_unsupported", message, self._in_stream)
        self._body = direction.take() if direction.held_bytes else b""
        return [], AskBody(direction.side, self._body)

    def _ended(self, direction: Direction) -> Reply:
        direction.stage = Stage.DONE
        return TrailersReply(direction.side)

    def _close_body(self, direction: Direction, *, ends: bool) -> None:
        if ends:
            direction.stage = Stage.DONE

    def _too_large(self, side: Side) -> Step:
        if side == "request":
            return [], AskFault(
                413, "body_too_large", "the request body is too large", self._in_stream
            )
        return [], AskFault(
            502, "answer_too_large", "the provider's answer is too large", self._in_stream
        )

    def _violated(self, what: str) -> Step:
        message = f"Envoy broke the ext_proc protocol: {what}"
        return [], AskFault(500, "protocol_violation", message, self._in_stream)

    def _undecodable(self, error: InvalidCall) -> AskFault:
        # Its codes are for requests; this is the answer.
        is_too_large = error.code == "body_too_large"
        code = "answer_too_large" if is_too_large else "unreadable_answer"
        return AskFault(502, code, "the provider's answer cannot be decoded", self._in_stream)

    @property
    def _in_stream(self) -> bool:
        # Envoy lets a stream's headers go once they are answered, and resets the client where an
        # immediate answer comes after them: from there on an error can only be an event.
        asked = self._asked
        is_piece = isinstance(asked, Body | Trailers) and asked.side == "response"
        return is_piece and self.response.is_streaming

    @staticmethod
    def _is_over(direction: Direction) -> bool:
        return direction.stage in {Stage.DONE, Stage.TRAILERS} or direction.wish == "skip"
