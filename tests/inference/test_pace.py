import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference.pace import Pace

FAR = float("inf")


def paced(*passes, batch_tokens=8192, pass_s=0.05, cost_s=0.0005):
    pace = Pace(batch_tokens, pass_s=pass_s, cost_s=cost_s)
    for tokens, seconds in passes:
        pace.note(tokens, seconds)
    return pace


def test_a_processor_takes_what_it_can_in_time():
    pace = paced(*[(500, 0.025)] * 5)

    assert pace.batch_tokens == pytest.approx(1000, abs=1)
    assert pace.pass_tokens == pytest.approx(10, abs=1)


def test_a_gpu_takes_all_it_may_and_pads_freely():
    pace = paced(*[(8192, 0.001)] * 3)

    assert pace.batch_tokens == 8192
    assert pace.pass_tokens == 4096


def test_what_is_not_known_yet_is_taken_for_a_processor():
    assert paced().batch_tokens == 1000


def test_after_a_time_of_single_texts_a_burst_soon_goes_together():
    pace = paced(*[(16, 0.001)] * 100)
    took = []
    while pace.batch_tokens < 8192:
        took.append(pace.batch_tokens)
        pace.note(took[-1], 0.001)

    assert len(took) < 6


def test_one_pass_that_was_held_up_is_soon_forgotten():
    pace = paced((8192, 0.001), (8192, 0.5))
    for _ in range(40):
        pace.note(max(512, pace.batch_tokens), 0.001)

    assert pace.batch_tokens == 8192


@given(
    st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 10)), max_size=20),
    st.integers(1, 10_000),
    st.sampled_from([0.0, 0.05, FAR]),
)
def test_it_never_asks_for_more_than_it_may(passes, batch_tokens, seconds):
    pace = paced(*passes, batch_tokens=batch_tokens, pass_s=seconds, cost_s=seconds)

    assert 0 <= pace.batch_tokens <= batch_tokens
    assert pace.pass_tokens == pace.batch_tokens
    if seconds == FAR:
        assert pace.batch_tokens == batch_tokens
