"""A fake Envoy: one exchange over one ext_proc stream, the answers carried out as Envoy does.

    envoy = FakeEnvoy(runtime)
    upstream = await envoy.request(call_message("Hello."))
    client = await envoy.respond(answer_message("Good morning."))
    outcome = await envoy.close()

The messages go through the same state machine and session as those of a real Envoy; only gRPC
is left out. What the host answers is checked against the protocol.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.api import HeaderEdits, Headers, Outcome
from pipeline.api.exchange import Exchange
from pipeline.host.policy import Watcher
from pipeline.host.runtime import Runtime
from pipeline.host.session import Choice, RouterSession
from pipeline.stream import messages as said
from pipeline.stream.deciding import decide
from pipeline.stream.machine import Machine
from pipeline.stream.messages import Mode, Reply, Side
from pipeline.testing.clock import counted_ids
from pipeline.testing.cuts import Cut, whole
from pipeline.testing.messages import Message

VIA_UPSTREAM = {"response.code_details": "via_upstream"}
_BUFFERED = {Mode.BUFFERED, Mode.BUFFERED_PARTIAL}
# Envoy removes the content-length itself where it cannot know the body's.
_UNKNOWN_LENGTH = {Mode.STREAMED, Mode.BUFFERED_PARTIAL, Mode.FULL_DUPLEX_STREAMED}


class ProtocolBroken(AssertionError):
    """Raised when the host answers what Envoy would not take."""


@dataclass(frozen=True, slots=True)
class Wire:
    """How Envoy is configured, and how its network divides bytes.

    Args:
        request: body mode of requests.
        response: body mode of responses; the host overrides it where it wants a body.
        cut: how bodies are divided in the streamed modes.
        trailers: whether trailers follow each body that the host is sent.
    """

    request: Mode = Mode.BUFFERED
    response: Mode = Mode.NONE
    cut: Cut = whole
    trailers: bool = False


class _Record:
    """Keeps how the exchange ended."""

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        self.outcome: Outcome | None = None
        self.violations: list[str] = []

    def ended(self, exchange: Exchange, outcome: Outcome) -> None:
        self.exchange, self.outcome = exchange, outcome

    def violation(self, kind: str) -> None:
        self.violations.append(kind)

    def dropped(self, backend: str, fields: Sequence[str]) -> None:
        """Note nothing: no attempt is made here."""

    def held(self, instance: str, hook: str, held_s: float) -> None:
        """Note nothing: each step has its time."""


class FakeEnvoy:
    """Plays Envoy for one exchange.

    Args:
        runtime: the compiled config.
        wire: how Envoy is configured.
        clock: monotonic seconds.
        new_id: makes the exchange's id where the request has none.
        watcher: sees every decision.
    """

    def __init__(
        self,
        runtime: Runtime,
        wire: Wire = Wire(),
        *,
        clock: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self._wire = wire
        self._record = _Record()
        self._session = RouterSession(
            runtime,
            Choice(runtime.candidates),
            self._record,
            clock,
            new_id or counted_ids(),
            watcher,
        )
        limits = runtime.config.limits
        self._machine = Machine(
            wire.request,
            wire.response,
            max_request_bytes=limits.request_body,
            max_response_bytes=limits.response_body,
            max_event_bytes=limits.event,
        )
        self._modes: dict[Side, Mode] = {"request": wire.request, "response": wire.response}
        self._is_started = False
        self.metadata: dict[str, str] = {}
        self.clears_route = False
        self.finish: Message | None = None

    @property
    def exchange(self) -> Exchange | None:
        """The exchange, once it has ended on a route."""
        return self._record.exchange

    @property
    def violations(self) -> list[str]:
        """What the host noted of faults in the protocol or of limits that were reached."""
        return self._record.violations

    async def request(self, message: Message) -> Message | None:
        """Send a request, and return it as the upstream gets it; None where the host answered."""
        return await self._send("request", message, {})

    async def open_request(self, message: Message) -> None:
        """Send a request's headers alone, as if its body were still on its way."""
        await self._tell(
            said.Headers("request", message.pairs, ends=False), _Sent(message.pairs), {}
        )

    async def open_response(self, message: Message) -> None:
        """Send a response's headers alone."""
        headers = said.Headers("response", message.pairs, ends=False)
        await self._tell(headers, _Sent(message.pairs), VIA_UPSTREAM)

    async def respond(
        self, message: Message, attributes: Mapping[str, str] = VIA_UPSTREAM
    ) -> Message:
        """Send the upstream's response, and return what the client gets.

        Args:
            message: the response.
            attributes: Envoy's; by default they say that it comes from the upstream.
        """
        if self.finish is not None:
            return self.finish
        passed = await self._send("response", message, attributes)
        if passed is None:
            assert self.finish is not None  # noqa: S101 - else the message had gone on
            return self.finish
        return passed

    async def close(self) -> Outcome | None:
        """End the stream, early or not; return the outcome unless no route was entered."""
        cancelled = not (self._machine.is_closed or self._machine.is_complete)
        await self._session.complete(cancelled=cancelled)
        return self._record.outcome

    async def _send(
        self, side: Side, message: Message, attributes: Mapping[str, str]
    ) -> Message | None:
        sent = _Sent(message.pairs)
        ends = not message.body and not self._wire.trailers
        await self._tell(said.Headers(side, message.pairs, ends), sent, attributes)
        if self._modes[side] is Mode.NONE:
            sent.body = message.body
        elif not ends:
            for piece in self._pieces(side, message.body):
                await self._tell(piece, sent, attributes)
        if self.finish is not None:
            if side == "response" and sent.has_left:
                # Headers that a client has cannot be taken back.
                self.finish = replace(sent.message, is_cut_off=True)
            return None
        if not sent.has_left:
            raise ProtocolBroken(f"the {side}'s headers were never answered")
        sent.check_length(side)
        return sent.message

    def _pieces(self, side: Side, body: bytes) -> list[said.Message]:
        cut = whole if self._modes[side] in _BUFFERED else self._wire.cut
        divided = cut(body)
        last = len(divided) - 1
        has_trailers = self._wire.trailers
        pieces: list[said.Message] = [
            said.Body(side, piece, index == last and not has_trailers)
            for index, piece in enumerate(divided)
        ]
        return [*pieces, said.Trailers(side)] if has_trailers else pieces

    async def _tell(
        self, message: said.Message, sent: _Sent, attributes: Mapping[str, str]
    ) -> None:
        if self.finish is not None:
            return
        # Others get their turn between two messages, as they do on a network.
        await asyncio.sleep(0)
        replies, ask = self._machine.receive(message)
        if ask is not None:
            verdict = await decide(self._session, ask, attributes)
            replies = [*replies, *self._machine.resume(verdict)]
        self._check(message, replies)
        for reply in replies:
            self._carry_out(reply, message, sent)

    def _check(self, message: said.Message, replies: list[Reply]) -> None:
        if any(isinstance(reply, said.ImmediateReply) for reply in replies):
            return
        if self._modes[message.side] is Mode.FULL_DUPLEX_STREAMED:
            return
        kinds = {
            said.Headers: said.HeadersReply,
            said.Body: said.BodyReply,
            said.Trailers: said.TrailersReply,
        }
        if [type(reply) for reply in replies] != [kinds[type(message)]]:
            given = ", ".join(type(reply).__name__ for reply in replies) or "nothing"
            raise ProtocolBroken(f"{type(message).__name__} was answered with {given}")

    def _carry_out(self, reply: Reply, message: said.Message, sent: _Sent) -> None:
        match reply:
            case said.HeadersReply():
                sent.edit(reply.edits)
                # In the buffered modes they wait for the body, which may still be refused.
                sent.has_left = True
                if reply.override is not None:
                    self._modes["request"], self._modes["response"] = reply.override
                if self._modes[message.side] in _UNKNOWN_LENGTH:
                    sent.edit(HeaderEdits(remove=frozenset({"content-length"})))
                self._note(reply)
            case said.BodyReply():
                original = message.data if isinstance(message, said.Body) else b""
                sent.body += original if reply.data is None else reply.data
                if self._modes[message.side] in _BUFFERED:
                    sent.edit(reply.edits)
                    if reply.states_length:
                        length = str(len(reply.data or b""))
                        sent.edit(HeaderEdits(set={"content-length": length}))
                self._note(reply)
            case said.ChunkReply():
                sent.body += reply.data
            case said.ImmediateReply(finish=finish):
                is_held = self._modes[message.side] in _BUFFERED
                sent.has_left = sent.has_left and not is_held
                pairs = [(name, value.encode()) for name, value in finish.headers.items()]
                status = (":status", str(finish.status).encode())
                self.finish = Message((status, *pairs), finish.body)

    def _note(self, reply: said.HeadersReply | said.BodyReply) -> None:
        self.metadata |= reply.report or {}
        self.clears_route = self.clears_route or reply.clear_route


class _Sent:
    """A message on its way through Envoy."""

    def __init__(self, pairs: tuple[tuple[str, bytes], ...]) -> None:
        self._headers = Headers(pairs)
        self.body = b""
        self.has_left = False

    def edit(self, edits: HeaderEdits) -> None:
        self._headers = self._headers.edited(edits)

    @property
    def message(self) -> Message:
        return Message(self._headers.pairs, self.body)

    def check_length(self, side: Side) -> None:
        stated = self._headers.get("content-length")
        if stated and int(stated) != len(self.body):
            raise ProtocolBroken(
                f"the {side}'s content-length says {stated}, its body has {len(self.body)} bytes"
            )
