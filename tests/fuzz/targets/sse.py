"""Server-sent events: no cut of the bytes changes the events, and no byte is lost or held."""

from __future__ import annotations

from pipeline.api.sse import Frame, FrameDecoder, FrameTooLong, encode_frame
from tests.fuzz.reader import cut

TOKENS = (
    b"data: ", b"data:", b"event: ", b"id: ", b"retry: ", b": ", b"\n\n", b"\r\n\r\n", b"\r\r",
    b"\r\n", b"\n\r", b"\xef\xbb\xbf", b"[DONE]", b"data", b"\xc3", b"\xa9", b"\x0b", b"\xc2\x85",
)  # fmt: skip
_SMALL = 40


def check(data: bytes) -> None:
    seed, data = data[:1], data[1:]
    pieces = cut(data, seed[0] if seed else 0)
    whole = _frames([data])
    assert _frames(pieces) == whole
    assert b"".join(frame.raw for frame in whole) == data
    _within_bound(pieces)
    for frame in whole:
        if frame.data is not None:
            _read_back(frame)


def _frames(pieces: list[bytes]) -> list[Frame]:
    decoder = FrameDecoder(1 << 20)
    return [frame for piece in pieces for frame in decoder.feed(piece)] + decoder.finish()


def _within_bound(pieces: list[bytes]) -> None:
    decoder = FrameDecoder(_SMALL)
    fed = given = 0
    for piece in pieces:
        fed += len(piece)
        try:
            frames = decoder.feed(piece)
        except FrameTooLong:
            assert len(decoder.pending) > _SMALL
            return
        assert all(len(frame.raw) <= _SMALL for frame in frames)
        given += sum(len(frame.raw) for frame in frames)
        assert given + len(decoder.pending) == fed


def _read_back(frame: Frame) -> None:
    if "\n" not in frame.name and "\r" not in frame.name:
        # Not at the start of a stream, where a byte order mark would be one.
        raw = b"\n" + encode_frame(frame.name, frame.data or "")
        [_, again] = _frames([raw])
        assert (again.name, again.data) == (frame.name, frame.data)
