"""Tests of the cutting of AWS's event stream."""

from __future__ import annotations

import base64
import json
import struct
import time
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.translate.aws_frames import AwsCut
from tests.support.providers.aws_frames import error, event, exception, frame

MAX_BYTES = 2**20
names = st.text("abdefghijklmnopqrstuvwxyzABC", min_size=1, max_size=20)
payloads = st.dictionaries(st.text(max_size=8), st.text(max_size=40), max_size=3)


def packed(inner: object) -> bytes:
    body = base64.b64encode(json.dumps(inner).encode()).decode()
    return event("chunk", {"bytes": body, "p": "abcdef"})


def test_an_event_has_its_type_and_its_payload() -> None:
    (found,) = AwsCut(MAX_BYTES).feed(event("messageStart", {"role": "assistant"}))
    assert found == ("messageStart", '{"role": "assistant"}')


def test_an_exception_has_its_type() -> None:
    (found,) = AwsCut(MAX_BYTES).feed(exception("throttlingException", "slow down"))
    assert found == ("throttlingException", '{"message": "slow down"}')


def test_an_error_that_is_no_exception_has_its_code_and_message() -> None:
    (found,) = AwsCut(MAX_BYTES).feed(error("InternalFailure", "broke"))
    assert found == ("InternalFailure", '{"message":"broke"}')


def test_events_that_invoke_model_packs_come_out_unpacked() -> None:
    inner = {"type": "content_block_delta", "delta": {"text": "grüezi"}}
    ((name, text),) = AwsCut(MAX_BYTES).feed(packed(inner))
    assert (name, json.loads(text)) == ("content_block_delta", inner)


@pytest.mark.parametrize("inner", [{"outputText": "hello"}, [1], "text"])
def test_packed_events_without_a_type_keep_the_frames_name(inner: object) -> None:
    ((name, text),) = AwsCut(MAX_BYTES).feed(packed(inner))
    assert (name, json.loads(text)) == ("chunk", inner)


def test_a_chunk_that_packs_nothing_stays_as_it_is() -> None:
    assert AwsCut(MAX_BYTES).feed(event("chunk", {"other": 1})) == [("chunk", '{"other": 1}')]


@given(st.lists(st.tuples(names, payloads), max_size=6), st.lists(st.integers(1, 60), min_size=1))
def test_any_cut_of_the_bytes_gives_the_same_events(
    events: list[tuple[str, dict[str, str]]], sizes: list[int]
) -> None:
    data = b"".join(event(name, document) for name, document in events)
    cut, found, at, turn = AwsCut(MAX_BYTES), [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        found += cut.feed(data[at : at + size])
        at, turn = at + size, turn + 1
    assert [(name, json.loads(text)) for name, text in found] == events


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_byte_never_passes(at: int, flip: int) -> None:
    data = bytearray(event("messageStop", {"stopReason": "end_turn"}))
    data[at % len(data)] ^= flip
    with pytest.raises(ValueError, match=r"."):
        AwsCut(MAX_BYTES).feed(bytes(data))


@given(st.binary(min_size=12, max_size=64))
def test_what_is_no_event_stream_is_refused(data: bytes) -> None:
    # Four bytes would have to be the checksum of the eight before them by chance.
    with pytest.raises(ValueError, match=r"."):
        AwsCut(MAX_BYTES).feed(data)


def test_a_frame_that_is_too_long_is_refused_as_soon_as_its_length_is_known() -> None:
    data = event("contentBlockDelta", {"text": "x" * 2000})
    with pytest.raises(ValueError, match="longer than 1000 bytes"):
        AwsCut(1000).feed(data[:12])


def test_headers_that_cannot_be_read_are_a_value_error() -> None:
    whole = frame({"a": "b"}, b"")
    broken = whole[:12] + bytes([whole[12]]) + b"a\xff" + whole[15:]
    # The checksum is over the broken bytes, so that the headers themselves are read.
    broken = broken[:-4] + struct.pack("!I", crc32(broken[:-4]))
    with pytest.raises(ValueError, match="cannot be read"):
        AwsCut(MAX_BYTES).feed(broken)


def test_the_cost_of_a_byte_does_not_grow_with_the_stream() -> None:
    one = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "hello " * 10}})

    def cost(count: int) -> float:
        data, cut = one * count, AwsCut(MAX_BYTES)
        began = time.process_time()
        cut.feed(data)
        return (time.process_time() - began) / count

    cost(100)
    few, many = min(cost(500) for _ in range(3)), min(cost(20_000) for _ in range(2))
    assert many < 4 * few
