"""Records as bytes: nothing is read that was not written so."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.semantic_cache.records import Body, Deleted, Flushed, Inserted, Meta
from plugins.semantic_cache.stores import codec
from tests.support.stored import record, same_meta

_WORDS = st.text(max_size=20)
_SECONDS = st.floats(allow_nan=False, allow_infinity=False)
_VECTORS = st.lists(st.floats(-1, 1, width=16), min_size=1, max_size=40).map(
    lambda numbers: np.array(numbers, dtype=np.float32)
)
_METAS = st.builds(
    Meta,
    id=_WORDS,
    partition=st.binary(min_size=16, max_size=16),
    exact=st.binary(min_size=16, max_size=16),
    route=_WORDS,
    tenant=_WORDS,
    model=_WORDS,
    tags=st.lists(_WORDS, max_size=4).map(tuple),
    vector=st.none() | _VECTORS,
    embedder=_WORDS,
    created_s=_SECONDS,
    fresh_s=_SECONDS,
    expires_s=_SECONDS,
    body_bytes=st.integers(0, 2**63),
    saves_s=_SECONDS,
    saves_usd=_SECONDS,
)
# Clients may send halves of surrogate pairs.
_TEXTS = st.text(st.characters(codec=None), max_size=60)
_BODIES = st.builds(Body, question=_TEXTS, dialect=_WORDS, answer=st.binary(max_size=200))
_SAMPLE = record("0123456789abcdef", question="wie geht's? \ud800", dimension=8)
_FRAMES = {
    "meta": (codec.encode_meta(_SAMPLE.meta), codec.decode_meta),
    "body": (
        codec.encode_body(_SAMPLE.meta.id, _SAMPLE.body),
        lambda data: codec.decode_body(_SAMPLE.meta.id, data),
    ),
    "deleted": (codec.encode_change(Deleted(("a", "b"))), codec.decode_change),
    "flushed": (codec.encode_change(Flushed()), codec.decode_change),
}


@given(_METAS)
def test_a_meta_comes_back_as_it_was(meta):
    assert same_meta(codec.decode_meta(codec.encode_meta(meta)), meta)


@given(_WORDS, _BODIES)
def test_a_body_comes_back_as_it_was(id_, body):
    assert codec.decode_body(id_, codec.encode_body(id_, body)) == body


@given(st.lists(_WORDS, max_size=5).map(tuple))
def test_a_deletion_comes_back_as_it_was(ids):
    assert codec.decode_change(codec.encode_change(Deleted(ids))) == Deleted(ids)


def test_a_line_of_a_log_is_read_as_what_it_is():
    inserted = codec.decode_change(codec.encode_change(Inserted(_SAMPLE.meta)))

    assert same_meta(inserted.meta, _SAMPLE.meta)
    assert codec.decode_change(codec.encode_change(Flushed())) == Flushed()
    assert codec.decode_change(_FRAMES["body"][0]) is None


@given(st.integers(1, 1024), st.integers(0, 2**32 - 1))
def test_a_vector_is_kept_to_half_precision(dimension, seed):
    vector = np.random.default_rng(seed).normal(size=dimension).astype(np.float32)
    vector /= np.linalg.norm(vector)
    kept = codec.decode_meta(codec.encode_meta(record(vector=vector).meta)).vector

    assert kept.dtype == np.float32
    assert np.allclose(kept, vector, rtol=2**-10, atol=2**-20)
    assert float(kept @ vector) == pytest.approx(1, abs=1e-3)


@given(_WORDS, _WORDS, _BODIES)
def test_another_entrys_body_is_refused(id_, other, body):
    if id_ != other:
        assert codec.decode_body(id_, codec.encode_body(other, body)) is None


@pytest.mark.parametrize("kind", _FRAMES)
def test_every_truncation_is_refused(kind):
    data, decode = _FRAMES[kind]

    assert decode(data) is not None
    assert [cut for cut in range(len(data)) if decode(data[:cut]) is not None] == []
    assert decode(data + b"\x00") is None


@pytest.mark.parametrize("kind", _FRAMES)
def test_every_flipped_bit_is_refused(kind):
    data, decode = _FRAMES[kind]
    for at in range(len(data) * 8):
        torn = bytearray(data)
        torn[at // 8] ^= 1 << at % 8
        assert decode(bytes(torn)) is None


@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused(data):
    for decode in (codec.decode_meta, codec.decode_change, lambda d: codec.decode_body("a", d)):
        assert decode(data) is None
    assert codec.first_frame_bytes(data) >= 0


@given(st.lists(st.binary(max_size=20), max_size=10), st.sampled_from([1, 2, 3, 4]))
def test_a_sound_frame_of_other_parts_never_raises(parts, kind):
    data = codec._frame(kind, parts)
    codec.decode_meta(data)
    codec.decode_body("a", data)
    codec.decode_change(data)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_vector_or_a_time_that_is_no_number_is_refused(number):
    vector = np.array([number, 0], dtype=np.float32)

    assert codec.decode_meta(codec.encode_meta(record(vector=vector).meta)) is None
    assert codec.decode_meta(codec.encode_meta(record(expires_s=number).meta)) is None


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_record_that_could_not_be_read_back_is_not_written(number):
    with pytest.raises(ValueError, match="finite"):
        codec.pack(record(expires_s=number))


def test_a_pickle_is_never_loaded():
    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit('executed')",))

    data = pickle.dumps(Bomb())
    assert codec.decode_meta(data) is codec.decode_change(data) is None


def test_frames_kept_in_one_value_are_told_apart():
    meta, body = _FRAMES["meta"][0], _FRAMES["body"][0]
    size = codec.first_frame_bytes(meta + body)

    assert size == len(meta)
    assert codec.first_frame_bytes(b"") == codec.first_frame_bytes(b"{" * 40) == 0
