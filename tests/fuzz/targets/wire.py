"""The wire: any sequence of ProcessingRequests is answered in order, and nothing fails."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from pipeline.wire import ext_proc_pb2 as pb
from tests.fuzz.host import Player, fuzzed_host
from tests.fuzz.reader import Choices

TOKENS = (
    b":path", b":status", b":method", b"POST", b"200", b"/v1/messages", b"/v1/chat/completions",
    b"content-type", b"text/event-stream", b"x-late", b"content-encoding", b"gzip",
)  # fmt: skip
# A final answer ends the stream; in FULL_DUPLEX_STREAMED one message may get several answers.
_DUPLEX = pb.ProcessingMode.FULL_DUPLEX_STREAMED


def check(data: bytes) -> None:
    choices = Choices(data)
    metadata = (("dragoman-level", "upstream"),) if choices.byte() % 8 == 7 else ()
    messages = []
    while choices and len(messages) < 20:
        try:
            messages.append(pb.ProcessingRequest.FromString(choices.piece()))
        except DecodeError:
            continue  # gRPC ends such a stream before it comes here
    play(messages, metadata)


def play(
    messages: list[pb.ProcessingRequest], metadata: tuple[tuple[str, str], ...] = ()
) -> Player:
    """Run messages through the host and check the answers to them."""
    player = Player(messages, metadata)
    fuzzed_host().play(player)
    config = messages[0].protocol_config if messages else pb.ProtocolConfiguration()
    is_duplex = _DUPLEX in {config.request_body_mode, config.response_body_mode}
    for number, answers in enumerate(player.answers):
        kind = messages[number].WhichOneof("request")
        kinds = [answer.WhichOneof("response") for answer in answers]
        if "immediate_response" in kinds:
            assert kinds[-1] == "immediate_response"
            assert number == len(player.answers) - 1
            assert 200 <= answers[-1].immediate_response.status.code < 600
        elif kind is None or messages[number].observability_mode:
            assert not kinds
        elif not is_duplex:
            assert kinds == [kind]
    return player
