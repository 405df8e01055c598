import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api.sse import Frame, FrameDecoder, FrameTooLong, encode_frame

LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
LINES = st.sampled_from(
    ["data: {}", "data:x", "data", "data: é😀", ": ping", "event: a", "id: 1", "", "", "", "what"]
)
STREAMS = st.lists(st.tuples(LINES, LINE_ENDS), max_size=20).map(
    lambda lines: "".join(line + end for line, end in lines).encode()
)


def decode(chunks, max_frame_bytes=1 << 20):
    decoder = FrameDecoder(max_frame_bytes)
    frames = [frame for chunk in chunks for frame in decoder.feed(chunk)]
    return frames + decoder.finish()


def cut(stream: bytes, places) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


def events_by_the_standard(stream: bytes) -> list[tuple[str, str]]:
    """The algorithm of the HTML standard, line by line, over the whole stream at once."""
    events, name, data = [], "", []
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for line in [*lines, ""]:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                events.append((name, "\n".join(data)))
            name, data = "", []
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
    return events


@given(st.sampled_from([b"", b"\xef\xbb\xbf"]), STREAMS, st.binary(max_size=6))
def test_events_are_those_of_the_standard(bom, stream, rest):
    stream = bom + stream + rest
    frames = decode([stream])

    assert [(f.name, f.data) for f in frames if f.data is not None] == events_by_the_standard(
        stream
    )


@given(STREAMS, st.binary(max_size=6), st.lists(st.integers(0, 400), max_size=12))
def test_frames_are_the_same_however_the_bytes_are_cut(stream, rest, places):
    stream += rest
    whole = decode([stream])

    assert decode(cut(stream, places)) == whole
    assert decode(stream[i : i + 1] for i in range(len(stream))) == whole


@given(STREAMS, st.binary(max_size=20), st.lists(st.integers(0, 400), max_size=12))
def test_frames_and_pending_add_up_to_every_byte_fed(stream, rest, places):
    decoder = FrameDecoder(1 << 20)
    fed, given_out = b"", b""
    for chunk in cut(stream + rest, places):
        fed += chunk
        given_out += b"".join(frame.raw for frame in decoder.feed(chunk))
        assert given_out + decoder.pending == fed
    given_out += b"".join(frame.raw for frame in decoder.finish())

    assert given_out == fed
    assert decoder.pending == b""


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_encoded_is_decoded(data):
    [frame] = decode([encode_frame("delta", data)])

    assert frame.name == "delta"
    assert frame.data == data.replace("\r\n", "\n").replace("\r", "\n")


def test_a_frame_comes_out_as_soon_as_its_blank_line_is_in():
    decoder = FrameDecoder(100)

    assert decoder.feed(b"data: 1\n\ndata: 2\n") == [Frame(b"data: 1\n\n", "", "1")]
    assert decoder.feed(b"\n") == [Frame(b"data: 2\n\n", "", "2")]
    assert decoder.feed(b"data: 3\r\n\r\n") == [Frame(b"data: 3\r\n\r\n", "", "3")]


def test_a_line_end_that_is_cut_in_two_stays_one():
    decoder = FrameDecoder(100)

    assert decoder.feed(b"data: 1\r\n\r") == []
    assert decoder.feed(b"\ndata: 2\r") == [Frame(b"data: 1\r\n\r\n", "", "1")]
    assert decoder.feed(b"\n\r\n") == [Frame(b"data: 2\r\n\r\n", "", "2")]


def test_a_comment_has_no_data_and_an_empty_field_has():
    assert [f.data for f in decode([b": ping\n\ndata:\n\nevent: x\n\n"])] == [None, "", None]


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_last_frame_without_its_blank_line_is_a_frame(end):
    assert decode([b"data: [DONE]" + end]) == [Frame(b"data: [DONE]" + end, "", "[DONE]")]


def test_a_mark_at_the_start_of_the_stream_is_no_part_of_the_first_field():
    raw = b"\xef\xbb\xbfdata: 1\n\n"

    assert decode([raw]) == [Frame(raw, "", "1")]
    assert decode([b"data: 0\n\n", raw])[1].data is None


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_frame_that_is_too_long_is_refused_after_those_before_it(size):
    stream = b"data: 1\n\n" + b"data: " + b"x" * 100 + b"\n\n" + b"data: 2\n\n"
    decoder = FrameDecoder(50)
    frames, fed = [], b""

    def feed_all():
        for start in range(0, len(stream) + 2 * size, size):
            chunk = stream[start : start + size]
            nonlocal fed
            fed += chunk
            frames.extend(decoder.feed(chunk))

    with pytest.raises(FrameTooLong):
        feed_all()

    assert frames == [Frame(b"data: 1\n\n", "", "1")]
    assert frames[0].raw + decoder.pending == fed
    with pytest.raises(FrameTooLong):
        decoder.feed(b"")
    with pytest.raises(FrameTooLong):
        decoder.finish()


@pytest.mark.parametrize("chunk_bytes", [1, 64, 65_536])
@pytest.mark.parametrize("frame", [b"data: 0123456789\n\n", b"data: 1\r\n\r\n", b"data: x\n"])
def test_decoding_takes_linear_time(frame, chunk_bytes):
    def seconds(size: int) -> float:
        stream = (frame * (size // len(frame) + 1))[:size]
        chunks = [stream[i : i + chunk_bytes] for i in range(0, size, chunk_bytes)]
        decoder = FrameDecoder(1 << 30)
        started = time.thread_time()
        for chunk in chunks:
            decoder.feed(chunk)
        return time.thread_time() - started

    size = 5_000 if chunk_bytes == 1 else 100_000
    small = min(seconds(size) for _ in range(3))
    assert min(seconds(10 * size) for _ in range(3)) < 10 * 6 * small
