"""The state machine of one stream, driven through legal and illegal orders of messages."""

from __future__ import annotations

import itertools
import zlib
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.host.verdicts import Emit, Finish, Proceed
from pipeline.stream.direction import MAX_CHUNK_BYTES
from pipeline.stream.machine import Machine
from pipeline.stream.messages import (
    Ask,
    AskBody,
    AskBytes,
    AskEvents,
    AskFault,
    Body,
    BodyReply,
    ChunkReply,
    Headers,
    HeadersReply,
    ImmediateReply,
    Message,
    Mode,
    Reply,
    Trailers,
    TrailersReply,
)

PAIRS = ((":path", b"/"),)
MODES = st.sampled_from(list(Mode))
WISHES = {"request": ["skip", "whole"], "response": ["skip", "whole", "events", "bytes"]}
SSE = (
    b'data: {"a": 1}\n\ndata: two\r\n\r\n: comment\n\nevent: x\ndata: \xc3\xa9\n\ndata: [DONE]\n\n'
)


def machine(request=Mode.BUFFERED, response=Mode.BUFFERED, **limits) -> Machine:
    sizes = {"max_request_bytes": 10**6, "max_response_bytes": 10**6, "max_event_bytes": 10**6}
    return Machine(request, response, **{**sizes, **limits})


@dataclass
class Driver:
    """Answers a machine's questions and notes what Envoy would do with its replies."""

    machine: Machine
    wishes: dict = field(default_factory=dict)
    bodies: dict = field(default_factory=dict)  # side -> replacement
    refuse_at: type | None = None
    log: list[tuple[Message, list[Reply]]] = field(default_factory=list)
    asked: list[Ask] = field(default_factory=list)

    def send(self, message: Message) -> list[Reply]:
        replies, ask = self.machine.receive(message)
        if ask is not None:
            self.asked.append(ask)
            replies = [*replies, *self.machine.resume(self.decide(ask))]
        self.log.append((message, replies))
        return replies

    def decide(self, ask: Ask) -> Proceed | Finish | Emit:
        if self.refuse_at is not None and isinstance(ask, self.refuse_at):
            return Finish(403, {}, b"no", "refused")
        match ask:
            case Headers(side=side):
                return Proceed(wish=self.wishes.get(side, "skip"))
            case AskBody(side=side):
                return Proceed(body=self.bodies.get(side))
            case AskEvents(frames=frames):
                return Emit(b"".join(frame.raw for frame in frames), is_original=True)
            case AskBytes(data=data):
                return Emit(data, is_original=True)
            case AskFault(status=status, code=code):
                return Finish(status, {}, b"", code)

    def forwarded(self, side: str) -> bytes:
        """What goes on of a side's body when Envoy applies the replies."""
        out = b""
        for message, replies in self.log:
            for reply in replies:
                if isinstance(reply, BodyReply) and reply.side == side:
                    out += message.data if reply.data is None else reply.data
                if isinstance(reply, ChunkReply) and reply.side == side:
                    out += reply.data
        return out


KINDS = {Headers: HeadersReply, Body: BodyReply, Trailers: TrailersReply}


@st.composite
def scripts(draw, side: str, mode: Mode) -> list[Message]:
    """What Envoy says of one side in a mode, legally."""
    has_trailers = draw(st.booleans())
    has_body = mode is not Mode.NONE and draw(st.booleans())
    script: list[Message] = [Headers(side, PAIRS, ends=not has_body and not has_trailers)]
    if has_body:
        body = draw(st.one_of(st.just(SSE), st.binary(max_size=40), st.just(b"z" * 150_000)))
        if mode in {Mode.BUFFERED, Mode.BUFFERED_PARTIAL}:
            # Without the end when trailers follow, or when a decompressor sits in front.
            script.append(Body(side, body, ends=not has_trailers and draw(st.booleans())))
        else:
            cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=6)))
            edges = [0, *cuts, len(body)]
            pieces = [body[a:b] for a, b in itertools.pairwise(edges)]
            script += [Body(side, piece, ends=False) for piece in pieces]
            if not has_trailers:
                script.append(Body(side, b"", ends=True))
    if has_trailers:
        script.append(Trailers(side))
    return script


@given(st.data())
def test_every_legal_order_gets_one_answer_per_message_and_keeps_every_byte(data):
    modes = {"request": data.draw(MODES), "response": data.draw(MODES)}
    driver = Driver(machine(modes["request"], modes["response"]))
    for side in ("request", "response"):
        wish = data.draw(st.sampled_from(WISHES[side]))
        driver.wishes[side] = wish
        script = data.draw(scripts(side, honoured(modes[side], wish)))
        for message in script:
            replies = driver.send(message)
            duplex = modes[side] is Mode.FULL_DUPLEX_STREAMED
            if any(isinstance(reply, ImmediateReply) for reply in replies):
                # The one thing that has no place for bytes already held.
                assert modes[side] is Mode.STREAMED
                assert isinstance(message, Trailers)
                assert wish == "whole"
                return
            if not duplex:
                assert [type(reply) for reply in replies] == [KINDS[type(message)]]
                assert replies[0].side == side
        bodies = [message.data for message in script if isinstance(message, Body)]
        sent = b"".join(bodies)
        tail_is_lost = (
            wish == "events"
            and driver.machine.response.mode is not Mode.FULL_DUPLEX_STREAMED
            and isinstance(script[-1], Trailers)
        )
        if tail_is_lost:
            assert sent.startswith(driver.forwarded(side))
        else:
            assert driver.forwarded(side) == sent


@given(st.data(), st.sampled_from(["skip", "whole", "events", "bytes"]))
def test_full_duplex_answers_headers_then_chunks_then_one_end(data, wish):
    driver = Driver(machine(response=Mode.FULL_DUPLEX_STREAMED), wishes={"response": wish})
    driver.send(Headers("request", PAIRS, ends=True))
    script = data.draw(scripts("response", Mode.FULL_DUPLEX_STREAMED))
    for message in script:
        driver.send(message)

    replies = [r for m, rs in driver.log if m.side == "response" for r in rs]
    kinds = [type(reply) for reply in replies]
    order = [HeadersReply, ChunkReply, TrailersReply]
    assert kinds[0] is HeadersReply
    assert kinds == sorted(kinds, key=order.index)
    ends = [r for r in replies if isinstance(r, TrailersReply) or getattr(r, "ends", False)]
    has_end = isinstance(script[-1], Trailers | Body)
    assert len(ends) == (1 if has_end else 0)
    assert all(len(r.data) <= MAX_CHUNK_BYTES for r in replies if isinstance(r, ChunkReply))


def honoured(configured: Mode, wish: str) -> Mode:
    """The mode that Envoy is in after an override that it allows."""
    if wish in {"events", "bytes"} and configured in {
        Mode.NONE,
        Mode.BUFFERED,
        Mode.BUFFERED_PARTIAL,
    }:
        return Mode.STREAMED
    if wish == "whole" and configured is Mode.NONE:
        return Mode.BUFFERED
    if wish == "skip" and configured in {Mode.BUFFERED, Mode.BUFFERED_PARTIAL}:
        return Mode.NONE
    return configured


ANY_MESSAGE = st.one_of(
    st.builds(Headers, st.sampled_from(["request", "response"]), st.just(PAIRS), st.booleans()),
    st.builds(
        Body, st.sampled_from(["request", "response"]), st.binary(max_size=30), st.booleans()
    ),
    st.builds(Trailers, st.sampled_from(["request", "response"])),
)


@given(
    MODES,
    MODES,
    st.sampled_from(WISHES["request"]),
    st.sampled_from(WISHES["response"]),
    st.lists(ANY_MESSAGE, max_size=12),
    st.sampled_from([None, Headers, AskBody]),
)
def test_no_order_of_messages_raises_and_memory_stays_bounded(
    request_mode, response_mode, wish, response_wish, messages, refuse_at
):
    limited = machine(request_mode, response_mode, max_request_bytes=50, max_response_bytes=50)
    wishes = {"request": wish, "response": response_wish}
    driver = Driver(limited, wishes=wishes, refuse_at=refuse_at)
    immediate = 0
    for message in messages:
        replies = driver.send(message)
        immediate += sum(isinstance(reply, ImmediateReply) for reply in replies)
        assert limited.request.held_bytes <= 50 + 30
        assert limited.response.held_bytes <= 50 + 30
        if limited.is_closed:
            assert immediate == 1
        elif limited.request.mode is not Mode.FULL_DUPLEX_STREAMED is not limited.response.mode:
            assert len(replies) == 1
            assert replies[0].side == message.side


@pytest.mark.parametrize(
    "order",
    [
        [Body("request", b"x", ends=True)],
        [Trailers("request")],
        [Headers("request", PAIRS, ends=False), Headers("request", PAIRS, ends=False)],
        [Headers("request", PAIRS, ends=True), Trailers("request")],
    ],
)
def test_a_broken_protocol_ends_the_stream_with_an_error(order):
    driver = Driver(machine())
    *_, last = [driver.send(message) for message in order]

    [reply] = last
    assert isinstance(reply, ImmediateReply)
    assert (reply.finish.status, reply.finish.code) == (500, "protocol_violation")
    assert driver.machine.is_closed
    assert driver.send(Headers("response", PAIRS, ends=True)) == []


@pytest.mark.parametrize("wish", ["skip", "whole", "events", "bytes"])
def test_a_second_end_of_stream_adds_no_bytes(wish):
    driver = Driver(machine(response=Mode.FULL_DUPLEX_STREAMED), wishes={"response": wish})
    driver.send(Headers("request", PAIRS, ends=True))
    driver.send(Headers("response", PAIRS, ends=False))
    driver.send(Body("response", SSE, ends=True))

    assert driver.send(Body("response", SSE, ends=True)) == []
    assert driver.forwarded("response") == SSE
    assert driver.machine.violations == 1


def test_a_second_end_of_stream_is_answered_with_nothing_where_answers_are_counted():
    driver = Driver(machine(Mode.STREAMED), wishes={"request": "whole"})
    driver.send(Headers("request", PAIRS, ends=False))
    driver.send(Body("request", b"abc", ends=True))

    assert driver.send(Body("request", b"abc", ends=True)) == [BodyReply("request", b"")]
    assert driver.forwarded("request") == b"abc"


def test_a_changed_buffered_body_gets_its_content_length():
    driver = Driver(machine(), wishes={"request": "whole"}, bodies={"request": b"longer body"})
    driver.send(Headers("request", PAIRS, ends=False))

    [reply] = driver.send(Body("request", b"x", ends=True))

    assert reply.data == b"longer body"
    assert reply.states_length


def test_a_changed_buffered_body_with_trailers_to_come_states_no_length():
    driver = Driver(machine(), wishes={"request": "whole"}, bodies={"request": b"longer body"})
    driver.send(Headers("request", PAIRS, ends=False))

    [reply] = driver.send(Body("request", b"x", ends=False))

    assert not reply.states_length
    assert "content-length" in reply.edits.remove


def test_an_untouched_buffered_body_is_not_sent_back():
    driver = Driver(machine(), wishes={"request": "whole"})
    driver.send(Headers("request", PAIRS, ends=False))

    assert driver.send(Body("request", b"x", ends=True)) == [BodyReply("request")]


def test_a_streamed_body_is_held_until_it_is_decided_and_then_sent_whole():
    driver = Driver(machine(Mode.STREAMED), wishes={"request": "whole"})
    driver.send(Headers("request", PAIRS, ends=False))

    assert driver.send(Body("request", b"ab", ends=False)) == [BodyReply("request", b"")]
    assert driver.send(Body("request", b"cd", ends=True)) == [BodyReply("request", b"abcd")]


def test_in_full_duplex_the_headers_wait_for_the_decision_on_the_body():
    driver = Driver(
        machine(Mode.FULL_DUPLEX_STREAMED),
        wishes={"request": "whole"},
        bodies={"request": b"new"},
    )

    assert driver.send(Headers("request", PAIRS, ends=False)) == []
    assert driver.send(Body("request", b"ol", ends=False)) == []
    replies = driver.send(Body("request", b"d", ends=True))
    assert [type(reply) for reply in replies] == [HeadersReply, ChunkReply]
    assert (replies[1].data, replies[1].ends) == (b"new", True)


def test_a_body_over_the_limit_is_refused_at_the_message_that_exceeds_it():
    limited = machine(Mode.STREAMED, max_request_bytes=4)
    driver = Driver(limited, wishes={"request": "whole"})
    driver.send(Headers("request", PAIRS, ends=False))
    driver.send(Body("request", b"abcd", ends=False))

    [reply] = driver.send(Body("request", b"e", ends=False))

    assert (reply.finish.status, reply.finish.code) == (413, "body_too_large")


@pytest.mark.parametrize(
    ("configured", "wish", "override"),
    [
        (Mode.BUFFERED, "events", Mode.STREAMED),
        (Mode.BUFFERED, "bytes", Mode.STREAMED),
        (Mode.BUFFERED, "skip", Mode.NONE),
        (Mode.BUFFERED, "whole", None),
        (Mode.STREAMED, "events", None),
        (Mode.NONE, "whole", Mode.BUFFERED),
        (Mode.NONE, "events", Mode.STREAMED),
        (Mode.NONE, "skip", None),
        (Mode.FULL_DUPLEX_STREAMED, "events", None),
    ],
)
def test_the_mode_is_overridden_only_where_the_configured_one_does_not_serve(
    configured, wish, override
):
    driver = Driver(machine(Mode.BUFFERED, configured), wishes={"response": wish})
    driver.send(Headers("request", PAIRS, ends=True))

    [reply] = driver.send(Headers("response", PAIRS, ends=False))

    assert reply.override == (None if override is None else (Mode.BUFFERED, override))


def test_events_pass_as_they_come_and_cut_ones_wait_for_their_rest():
    driver = Driver(machine(response=Mode.STREAMED), wishes={"response": "events"})
    driver.send(Headers("request", PAIRS, ends=True))
    driver.send(Headers("response", PAIRS, ends=False))

    assert driver.send(Body("response", b"data: 1\n\n", ends=False)) == [BodyReply("response")]
    assert driver.send(Body("response", b"data: \xc3", ends=False)) == [BodyReply("response", b"")]
    assert driver.send(Body("response", b"\xa9\n\n", ends=False)) == [
        BodyReply("response", b"data: \xc3\xa9\n\n")
    ]
    driver.send(Body("response", b"", ends=True))
    assert driver.asked[-1] == AskEvents([], ended=True)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not deflated", "unreadable_answer"),
        (zlib.compress(b": keep-alive\n\n" * 100), "answer_too_large"),
    ],
)
def test_a_stream_that_cannot_be_decoded_is_the_providers_fault_not_the_requests(body, code):
    limited = machine(response=Mode.STREAMED, max_response_bytes=1000)
    limited.receive(Headers("request", PAIRS, ends=True))
    limited.resume(Proceed())
    limited.receive(Headers("response", PAIRS, ends=False))
    limited.resume(Proceed(wish="events", encoding="deflate"))

    _, ask = limited.receive(Body("response", body, ends=True))

    assert (ask.status, ask.code) == (502, code)


def test_response_headers_end_the_request_whatever_was_missing_of_it():
    driver = Driver(machine(Mode.STREAMED), wishes={"request": "whole"})
    driver.send(Headers("request", PAIRS, ends=False))
    driver.send(Body("request", b"never ended", ends=False))

    driver.send(Headers("response", PAIRS, ends=True))

    assert driver.machine.is_complete


def test_bytes_are_asked_about_as_they_come_their_encoding_undone():
    packed = zlib.compress(b"one two")
    streaming = machine(response=Mode.STREAMED)
    streaming.receive(Headers("request", PAIRS, ends=True))
    streaming.resume(Proceed())
    streaming.receive(Headers("response", PAIRS, ends=False))
    streaming.resume(Proceed(wish="bytes", encoding="deflate"))
    answered = b""
    for index in range(len(packed)):
        ends = index == len(packed) - 1
        replies, ask = streaming.receive(Body("response", packed[index : index + 1], ends))
        if ask is not None:
            assert isinstance(ask, AskBytes)
            replies = streaming.resume(Emit(ask.data.upper(), is_original=False))
        [reply] = replies
        answered += reply.data

    assert answered == b"ONE TWO"
    assert streaming.is_complete


def test_bytes_that_cannot_be_decoded_are_a_fault_of_the_stream():
    streaming = machine(response=Mode.STREAMED)
    streaming.receive(Headers("request", PAIRS, ends=True))
    streaming.resume(Proceed())
    streaming.receive(Headers("response", PAIRS, ends=False))
    streaming.resume(Proceed(wish="bytes", encoding="gzip"))
    _, ask = streaming.receive(Body("response", b"nonsense", ends=False))

    assert ask == AskFault(502, "unreadable_answer", ask.message, in_stream=True)
    [reply] = streaming.resume(Emit(b"data: error\n\n", is_original=False, end=True))
    assert reply.data == b"data: error\n\n"
    [reply], ask = streaming.receive(Body("response", b"more", ends=True))
    assert (reply.data, ask) == (b"", None)


def test_a_body_for_a_response_that_has_none_comes_with_its_headers():
    streaming = machine(response=Mode.BUFFERED)
    streaming.receive(Headers("request", PAIRS, ends=True))
    streaming.resume(Proceed())
    streaming.receive(Headers("response", PAIRS, ends=True))
    [reply] = streaming.resume(Proceed(body=b"here"))

    assert (type(reply), reply.body) == (HeadersReply, b"here")


def streaming_answer():
    """Return a machine whose answer's headers have gone on as those of a stream of events."""
    streaming = machine(response=Mode.STREAMED)
    streaming.receive(Headers("request", PAIRS, ends=True))
    streaming.resume(Proceed())
    streaming.receive(Headers("response", PAIRS, ends=False))
    streaming.resume(Proceed(wish="events"))
    return streaming


def test_a_first_event_that_is_too_large_is_a_fault_of_the_stream_for_its_headers_are_gone():
    _, ask = streaming_answer().receive(Body("response", b"data: " + b"x" * 2_000_000, ends=False))

    assert (ask.code, ask.in_stream) == ("event_too_large", True)


def test_overload_is_a_fault_of_a_stream_that_goes_and_of_the_exchange_before():
    streaming = streaming_answer()
    streaming.receive(Body("response", b"data: a\n\n", ends=False))
    whole = machine(request=Mode.BUFFERED)
    whole.receive(Headers("request", PAIRS, ends=False))
    whole.resume(Proceed(wish="whole"))
    whole.receive(Body("request", b"{}", ends=True))

    assert (streaming.overloaded().in_stream, whole.overloaded().in_stream) == (True, False)


def test_headers_that_come_twice_in_a_stream_end_it_at_once():
    _, ask = streaming_answer().receive(Headers("response", PAIRS, ends=False))

    assert (ask.code, ask.in_stream) == ("protocol_violation", False)
