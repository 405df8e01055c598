import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pipeline.inference.remote.breaker import Breaker

FAILURES, WINDOW_S, FIRST_S, MOST_S = 3, 10.0, 0.1, 2.0


class Time:
    def __init__(self):
        self.now_s = 100.0

    def __call__(self):
        return self.now_s


def breaker_at(time, chance=lambda: 0.5):
    limits = {"failures": FAILURES, "window_s": WINDOW_S, "first_s": FIRST_S, "most_s": MOST_S}
    return Breaker(time, chance, **limits)


def closed(time, chance=lambda: 0.5):
    breaker = breaker_at(time, chance)
    assert breaker.probe()
    breaker.probed(answers=True)
    return breaker


def test_it_asks_before_it_lets_anything_pass():
    breaker = breaker_at(Time())
    assert (breaker.state, breaker.due_in_s) == ("open", 0.0)
    assert breaker.probe()
    assert breaker.state == "probing"


def test_one_probe_goes_at_a_time():
    breaker = breaker_at(Time())
    assert breaker.probe()
    assert not breaker.probe()


@given(st.lists(st.floats(0, 30), max_size=30))
def test_it_opens_at_so_many_failures_in_the_window_and_no_sooner(gaps_s):
    time = Time()
    breaker = closed(time)
    failed_s = []
    for gap_s in gaps_s:
        time.now_s += gap_s
        failed_s.append(time.now_s)
        breaker.failed()
        recent = failed_s[-FAILURES:]
        is_full = len(recent) == FAILURES and recent[-1] - recent[0] <= WINDOW_S
        assert (breaker.state == "open") is is_full
        if is_full:
            return


@given(st.integers(1, 12), st.floats(0, 1, exclude_max=True))
def test_the_pause_doubles_up_to_the_longest_and_keeps_its_upper_half(failed_probes, chance):
    time = Time()
    breaker = closed(time, lambda: chance)
    breaker.trip()
    for attempt in range(failed_probes):
        full_s = min(FIRST_S * 2**attempt, MOST_S)
        assert full_s / 2 - 1e-9 <= breaker.due_in_s <= full_s + 1e-9
        time.now_s += breaker.due_in_s
        assert breaker.probe()
        breaker.probed(answers=False)


def test_after_an_answer_it_begins_anew():
    time = Time()
    breaker = closed(time)
    for _ in range(4):
        breaker.trip()
        time.now_s += breaker.due_in_s
        breaker.probe()
        breaker.probed(answers=False)
        time.now_s += breaker.due_in_s
        breaker.probe()
        breaker.probed(answers=True)
        breaker.failed()
        breaker.failed()
        assert breaker.state == "closed"
    breaker.trip()
    assert breaker.due_in_s <= FIRST_S


@pytest.mark.parametrize("say", ["failed", "trip"])
def test_calls_that_began_before_it_opened_say_nothing_new(say):
    time = Time()
    breaker = closed(time)
    breaker.trip()
    due_s = breaker.due_in_s
    for _ in range(10):
        getattr(breaker, say)()
    assert breaker.due_in_s == due_s
    time.now_s += due_s
    assert breaker.probe()
    getattr(breaker, say)()
    assert breaker.state == "probing"


class Anything(RuleBasedStateMachine):
    """Whatever is said in whatever order, a node comes back and is never asked too often."""

    def __init__(self):
        super().__init__()
        self.time = Time()
        self.breaker = breaker_at(self.time)

    @rule(s=st.floats(0, 20))
    def wait(self, s):
        self.time.now_s += s

    @rule()
    def fail(self):
        self.breaker.failed()

    @rule()
    def trip(self):
        was_closed = self.breaker.state == "closed"
        self.breaker.trip()
        if was_closed:
            assert self.breaker.state == "open"

    @rule(answers=st.booleans())
    def probe(self, answers):
        is_due = self.breaker.state == "open" and self.breaker.due_in_s == 0
        assert self.breaker.probe() is is_due
        if is_due:
            self.breaker.probed(answers=answers)
            assert self.breaker.state == ("closed" if answers else "open")

    @rule(answers=st.booleans())
    def hear_of_no_probe(self, answers):
        before = self.breaker.state, self.breaker.due_in_s
        self.breaker.probed(answers=answers)
        assert (self.breaker.state, self.breaker.due_in_s) == before

    @invariant()
    def is_due_within_the_longest_pause(self):
        assert 0 <= self.breaker.due_in_s <= MOST_S


TestAnything = Anything.TestCase
