"""Exchanges: messages in any order, bodies cut anywhere; answered, bounded, and nothing leaks."""

from __future__ import annotations

from pipeline.wire import ext_proc_pb2 as pb
from pipeline.wire.recording import Tape, decode, encode, redactor
from tests.fuzz.host import fuzzed_host
from tests.fuzz.reader import Choices
from tests.fuzz.targets.wire import play

CANARY = b"QZJWKV"
TOKENS = (
    CANARY, b'{"model":"gpt","messages":[{"role":"user","content":"QZJWKV"}]}', b"data: [DONE]\n\n",
    b'data: {"choices":[{"index":0,"delta":{"content":"QZJWKV"}}]}\n\n', b"{template://t}",
    b'{"choices":[{"index":0,"message":{"role":"assistant","content":"QZJWKV"}}]}',
    b'"properties":{"a":"QZJWKV"}', b'"stream":true',
)  # fmt: skip
_PATHS = (b"/v1/chat/completions", b"/v1/messages", b"/v1/responses", b"/x?q=1", b"", b"/%ff")
_METHODS = (b"POST", b"GET", b"")
_TYPES = (b"application/json", b"text/event-stream", b"text/event-stream; charset=x", b"")
_STATUSES = (b"200", b"500", b"404", b"", b"x", b"200 OK", b"99999999999")
_ENCODINGS = (b"", b"gzip", b"br", b"identity", b"\xff")


def check(data: bytes) -> None:
    choices = Choices(data)
    request_mode, response_mode = choices.byte() % 6, choices.byte() % 6
    metadata = (("dragoman-level", "upstream"),) if choices.byte() % 8 == 7 else ()
    messages: list[pb.ProcessingRequest] = []
    bodies = b""
    while choices and len(messages) < 30:
        message = pb.ProcessingRequest()
        bodies += _fill(message, choices)
        messages.append(message)
    if messages:
        messages[0].protocol_config.request_body_mode = request_mode
        messages[0].protocol_config.response_body_mode = response_mode
    player = play(messages, metadata)
    if CANARY in bodies:
        _no_canary(messages, [answer for answers in player.answers for answer in answers])


def _fill(message: pb.ProcessingRequest, choices: Choices) -> bytes:
    kind = choices.byte()
    ends = bool(kind & 0x80)
    side = "response" if kind & 0x40 else "request"
    match kind % 5:
        case 0 if side == "request":
            pairs = {
                b":method": choices.pick(_METHODS),
                b":path": choices.pick(_PATHS),
                b"content-type": choices.pick(_TYPES),
                b"content-encoding": choices.pick(_ENCODINGS),
                b"x-late": choices.pick((b"", b"1")),
                b"x-request-id": b"the-id",
            }
            _headers(message.request_headers, pairs, ends)
        case 0:
            pairs = {
                b":status": choices.pick(_STATUSES),
                b"content-type": choices.pick(_TYPES),
                b"content-encoding": choices.pick(_ENCODINGS),
            }
            _headers(message.response_headers, pairs, ends)
            fields = message.attributes["envoy.filters.http.ext_proc"].fields
            fields["response.code_details"].string_value = choices.pick(("via_upstream", "other"))
        case 1 | 2 | 3:
            part = message.request_body if side == "request" else message.response_body
            part.body, part.end_of_stream = choices.piece(), ends
            return part.body
        case _:
            trailers = message.request_trailers if side == "request" else message.response_trailers
            trailers.SetInParent()
    return b""


def _headers(part: pb.HttpHeaders, pairs: dict[bytes, bytes], ends: bool) -> None:
    part.end_of_stream = ends
    for name, value in pairs.items():
        if value:
            part.headers.headers.add(key=name.decode(), raw_value=value)


def _no_canary(messages: list[pb.ProcessingRequest], answers: list[pb.ProcessingResponse]) -> None:
    host = fuzzed_host()
    redact = redactor(host.runtime.config, with_bodies=False)
    line = encode(redact(Tape((), entries=[*messages, *answers])))
    for entry in decode(line.decode()).entries:
        assert CANARY not in entry.SerializeToString()
    kept = host.ring.get("the-id")
    assert kept is None or CANARY not in kept
