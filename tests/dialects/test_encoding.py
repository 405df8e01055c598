"""Content encodings: undone whatever cuts them, within their bound, in linear time."""

from __future__ import annotations

import gzip
import sys
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dialects.encoding import Inflater, decoded
from pipeline.errors import InvalidCall

PACK = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}
NAMES = st.sampled_from(sorted(PACK))


@given(NAMES, st.binary(max_size=3000), st.integers(1, 200), st.integers(1, 500))
def test_any_cut_gives_the_same_bytes(name, data, times, size):
    packed = PACK[name](data * times)
    inflater = Inflater(name, 10**7)
    pieces = [inflater.feed(packed[i : i + size]) for i in range(0, len(packed), size)]

    assert b"".join(pieces) == data * times
    assert inflater.is_complete
    assert decoded(packed, name, 10**7) == data * times


@pytest.mark.parametrize("name", PACK)
def test_a_bomb_ends_at_the_bound(name):
    bomb = PACK[name](bytes(64 * 2**20))

    with pytest.raises(InvalidCall) as caught:
        decoded(bomb, name, 2**20)

    assert caught.value.code == "body_too_large"


@pytest.mark.parametrize("name", PACK)
@pytest.mark.parametrize("spoil", [lambda p: p[:-3], lambda p: b"nonsense" + p, lambda p: b"{}"])
def test_what_is_not_of_the_encoding_is_told(name, spoil):
    with pytest.raises(InvalidCall) as caught:
        decoded(spoil(PACK[name](b"some text " * 100)), name, 10**6)

    assert caught.value.code == "invalid_encoding"


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_several_members_are_one_body(name):
    assert decoded(PACK[name](b"one ") + PACK[name](b"two"), name, 100) == b"one two"


def test_bytes_after_a_brotli_stream_are_told():
    inflater = Inflater("br", 100)
    inflater.feed(brotli.compress(b"x"))

    with pytest.raises(InvalidCall):
        inflater.feed(b"more")


@pytest.mark.parametrize("module", ["brotli", "zstandard"])
def test_without_the_extra_the_encoding_is_unknown(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(InvalidCall) as caught:
        Inflater({"brotli": "br", "zstandard": "zstd"}[module], 100)

    assert (caught.value.code, caught.value.status) == ("unsupported_encoding", 415)
