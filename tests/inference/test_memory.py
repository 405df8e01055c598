import gc
import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference.contract import Reading
from pipeline.inference.memory import Memory, key_of


def reading(number=0, size=8):
    return Reading(np.full(size, number, np.float32), {"risk": number / 10})


HEADS = frozenset({"embedding", "risk"})


def test_what_was_added_is_known():
    memory = Memory(10_000)
    memory.add(b"a", reading(1), HEADS)

    known = memory.get(b"a")

    assert (known.heads, known.reading.scores) == (HEADS, {"risk": 0.1})
    assert memory.get(b"b").heads == frozenset()


def test_heads_that_come_later_extend_a_reading():
    memory = Memory(10_000)
    memory.add(b"a", Reading(scores={"risk": 0.1}, tokens=5), frozenset({"risk"}))
    memory.add(b"a", Reading(np.ones(2, np.float32), tokens=5), frozenset({"embedding"}))

    known = memory.get(b"a")

    assert known.heads == HEADS
    assert known.reading.scores == {"risk": 0.1}
    assert known.reading.embedding.tolist() == [1, 1]
    assert len(memory) == 1


def test_the_least_recently_asked_for_is_forgotten_first():
    one = Memory(10**9)
    one.add(b"a", reading(), HEADS)
    memory = Memory(3 * one.bytes)
    for key in (b"a", b"b", b"c"):
        memory.add(key, reading(), HEADS)
    memory.get(b"a")

    memory.add(b"d", reading(), HEADS)

    assert [bool(memory.get(key).heads) for key in (b"a", b"b", b"c", b"d")] == [1, 0, 1, 1]


def test_a_memory_of_no_bytes_keeps_nothing():
    memory = Memory(0)
    memory.add(b"a", reading(), HEADS)

    assert (len(memory), memory.bytes) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 400)), max_size=40))
def test_its_bytes_are_those_of_what_it_keeps_and_bounded(added):
    memory = Memory(5_000)
    for key, size in added:
        memory.add(bytes([key]), reading(size=size), HEADS)
        assert memory.bytes <= 5_000

    kept = [bytes([key]) for key in range(10) if memory.get(bytes([key])).heads]
    alone = Memory(10**9)
    for key in kept:
        alone.add(key, memory.get(key).reading, HEADS)
    assert memory.bytes == alone.bytes


def test_what_it_takes_is_about_what_it_says():
    memory = Memory(4 * 2**20)
    gc.collect()
    tracemalloc.start()
    for number in range(5_000):
        memory.add(key_of("m", str(number)), reading(size=384), HEADS)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 0.6 * memory.bytes < taken < 1.1 * memory.bytes


def test_a_key_is_of_the_text_and_the_model_and_tells_neither():
    keys = {key_of(model, text) for model in ("a", "ab") for text in ("secret", "bsecret", "")}

    assert len(keys) == 6
    assert all(len(key) == 16 and b"secret" not in key for key in keys)


def test_a_text_with_a_lone_surrogate_has_a_key():
    assert key_of("m", "\ud800") != key_of("m", "\udfff")
