"""One direction of a stream: its mode, what is held of its body, and how bytes are answered."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto

from pipeline.api.headers import NO_EDITS, HeaderEdits
from pipeline.api.sse import FrameDecoder
from pipeline.dialects.encoding import Inflater
from pipeline.host.verdicts import Proceed, Wish
from pipeline.stream.messages import BodyReply, ChunkReply, HeadersReply, Mode, Reply, Side

# What the Gateway API inference extension uses: a 64 KiB HTTP/2 window less slack; the ext_proc
# API advises 64 KiB at most.
MAX_CHUNK_BYTES = 62_000


_STREAMED = frozenset({"events", "bytes"})


class Stage(Enum):
    """How far a direction has come."""

    HEADERS = auto()
    BODY = auto()
    TRAILERS = auto()
    DONE = auto()


class Direction:
    """The state of one direction.

    Args:
        side: which one.
        mode: the configured body mode.
        max_bytes: the largest body that is held.
        max_event_bytes: the largest event.
    """

    __slots__ = (
        "_chunks",
        "_pieces",
        "_waiting",
        "decoder",
        "held_bytes",
        "inflater",
        "max_bytes",
        "max_event_bytes",
        "mode",
        "side",
        "stage",
        "wish",
    )

    def __init__(self, side: Side, mode: Mode, max_bytes: int, max_event_bytes: int) -> None:
        self.side: Side = side
        self.mode = mode
        self.max_bytes = max_bytes
        self.max_event_bytes = max_event_bytes
        self.stage = Stage.HEADERS
        self.wish: Wish | None = "skip"  # None: whatever still comes is dropped
        self.held_bytes = 0
        self.decoder: FrameDecoder | None = None
        self.inflater: Inflater | None = None
        self._chunks: list[bytes] = []
        self._pieces = 0
        self._waiting: Proceed | None = None

    @property
    def is_duplex(self) -> bool:
        """Whether answers need not match messages one to one."""
        return self.mode is Mode.FULL_DUPLEX_STREAMED

    @property
    def is_streaming(self) -> bool:
        """Whether the body goes on piece by piece, its headers gone before it."""
        return self.stage is Stage.BODY and self.wish in _STREAMED

    @property
    def is_whole_at_once(self) -> bool:
        """Whether one message carries the whole body, marked as the end or not."""
        return self.mode in {Mode.BUFFERED, Mode.BUFFERED_PARTIAL}

    def open_body(self, verdict: Proceed, other: Mode, *, ends: bool) -> list[Reply]:
        """Take the decision on the headers and prepare for the body.

        Args:
            verdict: the decision.
            other: the mode of the other direction, which an override must repeat.
            ends: no body follows.
        """
        if ends:
            self.stage = Stage.DONE
            return [self._headers_reply(verdict, None, verdict.body)]
        self.stage = Stage.BODY
        self.wish = verdict.wish
        override = self._override()
        if override is not None:
            self.mode = override
        if verdict.wish == "events":
            self.decoder = FrameDecoder(self.max_event_bytes)
        if verdict.wish in _STREAMED and verdict.encoding:
            self.inflater = Inflater(verdict.encoding, self.max_bytes)
        if self.is_duplex and verdict.wish == "whole":
            # The body may still change the headers, or be refused: they wait for it.
            self._waiting = verdict
            return []
        return [self._headers_reply(verdict, other if override is not None else None)]

    def hold(self, data: bytes) -> None:
        """Keep a piece of the body."""
        self._chunks.append(data)
        self._pieces += 1
        self.held_bytes += len(data)

    def take(self) -> bytes:
        """Return what was held and forget it."""
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks, self.held_bytes = [], 0
        return body

    def release(self, verdict: Proceed, body: bytes, *, ends: bool) -> list[Reply]:
        """Answer the last message of a whole body with the decision on it.

        Args:
            verdict: the decision.
            body: the body as it came.
            ends: whether the body's last byte ends the direction; trailers follow otherwise.
        """
        new = verdict.body
        if self.is_duplex:
            waiting, self._waiting = self._waiting, None
            replies: list[Reply] = []
            if waiting is not None:
                replies.append(self._headers_reply(_joined(waiting, verdict), None))
            return [*replies, *self.chunks(body if new is None else new, ends=ends)]
        edits = verdict.edits
        states_length = new is not None and self.is_whole_at_once and ends
        if new is not None and self.is_whole_at_once and not ends:
            # In HTTP/1.1 a body of stated length has no trailers.
            edits = edits.then(HeaderEdits(remove=frozenset({"content-length"})))
        if new is None and self._pieces > 1:
            new = body  # its earlier pieces were answered with nothing
        return [
            BodyReply(self.side, new, edits, verdict.clear_route, verdict.report, states_length)
        ]

    def passed(self, data: bytes, *, ends: bool) -> list[Reply]:
        """Answer a piece that nobody wants to see."""
        return list(self.chunks(data, ends=ends)) if self.is_duplex else [BodyReply(self.side)]

    def dropped(self) -> list[Reply]:
        """Answer a piece that must not go on, or that is held for now."""
        return [] if self.is_duplex else [BodyReply(self.side, b"")]

    def chunks(self, data: bytes, *, ends: bool) -> Iterator[Reply]:
        """Cut bytes into what one answer may carry; an end without bytes is an empty chunk."""
        for start in range(0, len(data), MAX_CHUNK_BYTES):
            piece = data[start : start + MAX_CHUNK_BYTES]
            last = start + MAX_CHUNK_BYTES >= len(data)
            yield ChunkReply(self.side, piece, ends and last)
        if ends and not data:
            yield ChunkReply(self.side, b"", ends=True)

    def _override(self) -> Mode | None:
        """Return the mode to ask Envoy for, None where the configured one serves."""
        match self.wish:
            case "skip" if self.is_whole_at_once:
                return Mode.NONE
            case "whole" if self.mode is Mode.NONE:
                return Mode.BUFFERED
            case "events" | "bytes" if self.mode is Mode.NONE or self.is_whole_at_once:
                return Mode.STREAMED
            case _:
                return None

    def _headers_reply(
        self, verdict: Proceed, other: Mode | None, body: bytes | None = None
    ) -> HeadersReply:
        override = None
        if verdict.hides_answer:
            override = (self.mode, Mode.NONE)
        elif other is not None:
            override = (self.mode, other) if self.side == "request" else (other, self.mode)
        edits = verdict.edits
        if self.wish in _STREAMED and verdict.wish in _STREAMED:
            edits = edits.then(HeaderEdits(remove=frozenset({"content-length"})))
        return HeadersReply(
            self.side,
            edits,
            verdict.clear_route,
            verdict.report,
            override,
            body,
            verdict.hides_answer,
        )


def _joined(first: Proceed, second: Proceed) -> Proceed:
    edits = first.edits.then(second.edits) if first.edits is not NO_EDITS else second.edits
    return Proceed(
        edits=edits,
        clear_route=first.clear_route or second.clear_route,
        report=second.report or first.report,
    )
