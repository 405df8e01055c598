from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference.windows import cut


@st.composite
def cuts(draw):
    size = draw(st.integers(1, 20))
    return {
        "length": draw(st.integers(0, 300)),
        "max_content": size,
        "overlap": draw(st.integers(0, size - 1)),
        "limit": draw(st.integers(1, 12)),
    }


def cut_numbers(length, max_content, overlap, limit):
    return cut(
        np.arange(100, 100 + length, dtype=np.int32),
        max_content,
        overlap=overlap,
        limit=limit,
        prefix=(1,),
        suffix=(2, 3),
    )


def contents(windows):
    return [(window.ids[1:-2] - 100).tolist() for window in windows]


@given(cuts())
def test_windows_are_within_the_limits_and_have_their_special_tokens(how):
    windows, _ = cut_numbers(**how)

    assert 1 <= len(windows) <= how["limit"]
    for window in windows:
        assert window.ids.dtype == np.int32
        assert len(window.ids) <= how["max_content"] + 3
        assert window.ids[0] == 1
        assert window.ids[-2:].tolist() == [2, 3]


@given(cuts())
def test_every_token_is_read_or_counted_and_weighed_once(how):
    windows, unread = cut_numbers(**how)

    seen = set()
    for window, content in zip(windows, contents(windows), strict=True):
        new = set(content) - seen
        assert window.weight == max(1, len(new))
        seen |= new
    assert len(seen) + unread == how["length"]


@given(cuts())
def test_a_text_that_fits_is_read_in_equal_windows_with_the_overlap_between_them(how):
    windows, unread = cut_numbers(**{**how, "limit": 1000})

    pieces = contents(windows)
    assert unread == 0
    for before, after in pairwise(pieces):
        assert before[len(before) - how["overlap"] :] == after[: how["overlap"]]
    sizes = [len(piece) for piece in pieces]
    # All but the last, which lacks what does not divide.
    assert len(set(sizes[:-1])) <= 1
    assert sizes[0] - sizes[-1] < len(sizes)
    needed = 1
    while how["max_content"] + (needed - 1) * (how["max_content"] - how["overlap"]) < how["length"]:
        needed += 1
    assert len(windows) == needed


@given(cuts())
def test_of_a_text_that_is_too_long_head_and_tail_are_read(how):
    windows, unread = cut_numbers(**how)

    pieces = contents(windows)
    read = {token for piece in pieces for token in piece}
    # The only gap, if there is one, lies in the middle.
    gaps = [token for token in range(how["length"]) if token not in read]
    assert len(gaps) == unread
    assert not gaps or gaps[-1] - gaps[0] + 1 == len(gaps)
    if how["length"] and how["max_content"] > 1:
        assert {0, how["length"] - 1} <= read
    if unread:
        assert len(windows) == how["limit"]
        head, tail = gaps[0], how["length"] - gaps[-1] - 1
        assert 0 <= head - tail <= how["max_content"]


def test_one_window_of_a_long_text_has_both_its_ends():
    windows, unread = cut_numbers(length=100, max_content=5, overlap=2, limit=1)

    assert contents(windows) == [[0, 1, 2, 98, 99]]
    assert (windows[0].weight, unread) == (5, 95)


def test_an_empty_text_is_one_window_that_counts():
    windows, unread = cut_numbers(length=0, max_content=5, overlap=2, limit=4)

    assert [(window.ids.tolist(), window.weight) for window in windows] == [([1, 2, 3], 1)]
    assert unread == 0


def test_windows_know_their_view():
    windows, _ = cut(np.arange(9, dtype=np.int32), 5, overlap=1, limit=9, view=3)

    assert {window.view for window in windows} == {3}


@pytest.mark.parametrize(
    ("size", "overlap", "limit"), [(4, 4, 1), (4, 5, 1), (4, -1, 1), (0, 0, 1), (4, 1, 0)]
)
def test_windows_that_do_not_advance_are_refused(size, overlap, limit):
    with pytest.raises(ValueError, match="longer than the overlap"):
        cut(np.arange(9, dtype=np.int32), size, overlap=overlap, limit=limit)
