from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference.lexicon import PAIRS, SHORTNESS, SINGLES, SPAN_TOKENS, Lexicon, pairs, spans

VOCABULARY, TABLE = 50, 64
CHANCE = np.random.default_rng(0)
WEIGHTS = {
    SINGLES: np.abs(CHANCE.normal(size=(VOCABULARY, 3))).astype(np.float16),
    PAIRS: np.abs(CHANCE.normal(size=(TABLE, 3))).astype(np.float16),
}
IDS = st.lists(st.integers(0, VOCABULARY - 1), max_size=300).map(lambda n: np.array(n, np.int32))


def test_without_tables_there_are_no_columns():
    lexicon = Lexicon({})

    assert lexicon.width == 0
    assert lexicon.columns([np.array([1, 2], np.int32)]).shape == (1, 0)


@given(IDS)
def test_a_column_is_that_of_the_most_telling_span(ids):
    found = Lexicon(WEIGHTS).columns([ids])[0]

    singles = WEIGHTS[SINGLES].astype(np.float64)[ids]
    if len(ids):
        singles[:-1] += WEIGHTS[PAIRS].astype(np.float64)[pairs(ids, TABLE)]
    expected = [
        total[:2] / np.sqrt(total[2] + SHORTNESS)
        for begin, end in zip(*spans(len(ids)), strict=True)
        if end > begin
        for total in [singles[begin:end].sum(0)]
    ]

    np.testing.assert_allclose(np.max(expected, 0) if expected else 0, found, rtol=1e-3, atol=1e-4)


@given(st.integers(0, 2000))
def test_spans_hold_every_token_and_none_is_longer_than_agreed(length):
    begins, ends = spans(length)

    covered = np.zeros(length, bool)
    for begin, end in zip(begins, ends, strict=True):
        covered[begin:end] = True

    assert covered.all()
    assert (ends - begins).max() <= SPAN_TOKENS


def test_a_window_reads_the_same_in_a_batch():
    windows = [np.arange(n, dtype=np.int32) % VOCABULARY for n in (0, 1, 2, 60, 200)]
    lexicon = Lexicon(WEIGHTS)

    alone = np.concatenate([lexicon.columns([one]) for one in windows])

    np.testing.assert_array_equal(alone, lexicon.columns(windows))


@pytest.mark.parametrize("size", [2, 64, 2**15])
def test_pairs_lie_in_the_table_and_know_their_order(size):
    ids = np.array([5, 9, 5, 9, 30_000], np.int32)

    found = pairs(ids, size)

    assert len(found) == len(ids) - 1
    assert found.max() < size
    assert found[0] == found[2]
    if size > 64:
        assert found[0] != found[1]
