import asyncio

from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference.remote.pending import Pending, Waiting

MOST_TEXTS, MOST_BYTES = 4, 10_000
HEADS = [frozenset({"a"}), frozenset({"a", "b"})]

texts = st.tuples(st.integers(0, 20_000), st.sampled_from(HEADS), st.booleans(), st.booleans())


def waiting_of(loop, size, heads, is_alone, is_tried):
    one = Waiting(b"x" * size, heads, 0.0, loop.create_future(), is_alone=is_alone)
    if is_tried:
        one.tried.add("here")
    return one


def is_new(waiting):
    return "here" not in waiting.tried


@given(st.lists(texts, max_size=20))
def test_all_that_may_go_goes_once_and_each_call_is_within_its_limits(given_texts):
    loop = asyncio.new_event_loop()
    all_of_them = [waiting_of(loop, *one) for one in given_texts]
    loop.close()
    pending = Pending(MOST_TEXTS, MOST_BYTES)
    for one in all_of_them:
        pending.add(one)
    gone = []
    while taken := pending.take(is_new):
        rest = [one for one in all_of_them if is_new(one) and one not in gone]
        assert taken[0] is rest[0], "the oldest goes first"
        assert len(taken) <= MOST_TEXTS
        assert len(taken) == 1 or sum(len(one.text) for one in taken) <= MOST_BYTES
        assert len({one.heads for one in taken}) == 1
        assert len(taken) == 1 or not any(one.is_alone for one in taken)
        sizes = [max(len(one.text), 2048) for one in taken]
        assert max(sizes) < 4 * min(sizes), "short texts do not wait for long ones"
        gone += taken
    assert set(gone) == {one for one in all_of_them if is_new(one)}
    assert len(gone) == len(set(gone))
    assert list(pending) == [one for one in all_of_them if not is_new(one)]


def test_what_is_put_back_goes_before_all_others():
    loop = asyncio.new_event_loop()
    first, second, third = (
        waiting_of(loop, 1, HEADS[0], is_alone, False) for is_alone in (0, 0, 1)
    )
    loop.close()
    pending = Pending(MOST_TEXTS, MOST_BYTES)
    pending.add(first)
    pending.add(second)
    pending.put_back(third)
    assert pending.take(is_new) == [third]
    assert pending.take(is_new) == [first, second]
    assert len(pending) == 0


def test_what_has_gone_is_not_taken():
    loop = asyncio.new_event_loop()
    one = waiting_of(loop, 1, HEADS[0], False, False)
    loop.close()
    pending = Pending(MOST_TEXTS, MOST_BYTES)
    pending.add(one)
    pending.remove(one)
    pending.remove(one)
    assert pending.take(is_new) == []
