from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from pipeline.inference.queueing import Queue, bucket


@dataclass(eq=False)
class Entry:
    deadline_s: float
    lengths: tuple[int, ...]
    is_gone: bool = False


entries = st.builds(
    Entry,
    deadline_s=st.integers(1, 50),
    lengths=st.lists(st.integers(1, 600), min_size=1, max_size=6).map(tuple),
    is_gone=st.booleans(),
)
budgets = st.integers(1, 2000)
costs = st.integers(0, 3000)


class Limited(Queue):
    """A queue whose batches are all of one size."""

    def __init__(self, budget, cost):
        super().__init__()
        self.limits = budget, cost

    def take(self, now_s):
        return super().take(now_s, *self.limits)


def queue_of(*entries, budget=1000, cost=0):
    queue = Limited(budget, cost)
    for entry in entries:
        queue.put(entry, entry.lengths)
    return queue


def all_batches(queue, now_s=0.0):
    while batch := queue.take(now_s):
        yield batch


def names(batch):
    return [(piece.entry.deadline_s, piece.window) for piece in batch]


@given(st.lists(entries, max_size=12), budgets, costs)
def test_every_window_that_somebody_waits_for_is_taken_once(waiting, budget, cost):
    queue = queue_of(*waiting, budget=budget, cost=cost)

    taken = [(p.entry, p.window, p.length) for batch in all_batches(queue) for p in batch]

    expected = [
        (entry, window, length)
        for entry in waiting
        if not entry.is_gone
        for window, length in enumerate(entry.lengths)
    ]
    assert sorted(taken, key=repr) == sorted(expected, key=repr)
    assert not queue


@given(st.lists(entries, max_size=12), budgets, costs)
def test_a_batch_keeps_to_its_tokens_unless_it_is_one_window(waiting, budget, cost):
    for batch in all_batches(queue_of(*waiting, budget=budget, cost=cost)):
        padded = len(batch) * max(piece.length for piece in batch)
        assert padded <= budget or len(batch) == 1


@given(st.lists(entries, max_size=12), budgets, costs)
def test_padding_is_an_eighth_or_costs_less_than_a_pass(waiting, budget, cost):
    for batch in all_batches(queue_of(*waiting, budget=budget, cost=cost)):
        lengths = [piece.length for piece in batch]
        padding = len(lengths) * max(lengths) - sum(lengths)
        alike = len({bucket(length) for length in lengths}) == 1
        assert alike or padding <= max(cost, len(lengths) * max(lengths) // 8 + 8)


@given(st.lists(entries, max_size=12), budgets, costs, st.data())
def test_whose_deadline_is_the_earliest_goes_next_whatever_came_later(waiting, budget, cost, data):
    queue = queue_of(*waiting, budget=budget, cost=cost)
    left = {(e, w) for e in waiting if not e.is_gone for w in range(len(e.lengths))}
    while left:
        for late in data.draw(st.lists(entries, max_size=2)) if len(waiting) < 20 else ():
            waiting = [*waiting, late]
            queue.put(late, late.lengths)
            if not late.is_gone:
                left |= {(late, window) for window in range(len(late.lengths))}
        earliest = min(entry.deadline_s for entry, _ in left)

        batch = queue.take(0.0)

        assert any(piece.entry.deadline_s == earliest for piece in batch)
        left -= {(piece.entry, piece.window) for piece in batch}


@given(st.lists(entries, max_size=12), st.integers(0, 60), budgets, costs)
def test_who_is_too_late_is_never_taken(waiting, now_s, budget, cost):
    queue = queue_of(*waiting, budget=budget, cost=cost)

    for batch in all_batches(queue, now_s):
        assert all(piece.entry.deadline_s > now_s for piece in batch)
        assert all(not piece.entry.is_gone for piece in batch)


@given(st.lists(entries, max_size=12), budgets, costs)
def test_a_batch_has_its_shortest_windows_first(waiting, budget, cost):
    for batch in all_batches(queue_of(*waiting, budget=budget, cost=cost)):
        lengths = [piece.length for piece in batch]
        assert lengths == sorted(lengths)


def test_windows_of_one_length_go_by_deadline():
    late, early, middle = (Entry(s, (100,)) for s in (3, 1, 2))
    queue = queue_of(late, early, middle, budget=200)

    assert [names(batch) for batch in all_batches(queue)] == [[(1, 0), (2, 0)], [(3, 0)]]


def test_equal_deadlines_go_in_the_order_they_came():
    first, second = Entry(1, (50,)), Entry(1, (50,))
    queue = queue_of(first, second, budget=50)

    assert [piece.entry for batch in all_batches(queue) for piece in batch] == [first, second]


def test_a_short_text_is_not_padded_to_a_long_one():
    queue = queue_of(Entry(1, (500,)), Entry(2, (16,)), Entry(3, (500,)), cost=100)

    assert [names(batch) for batch in all_batches(queue)] == [[(1, 0), (3, 0)], [(2, 0)]]


def test_where_a_pass_costs_more_than_padding_all_go_together():
    queue = queue_of(Entry(1, (300,)), Entry(2, (16,)), Entry(3, (310,)), cost=500)

    assert [names(batch) for batch in all_batches(queue)] == [[(2, 0), (1, 0), (3, 0)]]


def test_windows_of_one_text_may_spread_over_batches():
    queue = queue_of(Entry(1, (100, 100, 100)), budget=200)

    assert [names(batch) for batch in all_batches(queue)] == [[(1, 0), (1, 1)], [(1, 2)]]


def test_a_window_larger_than_a_batch_goes_alone():
    queue = queue_of(Entry(1, (5000,)), Entry(2, (10,)), cost=10_000)

    assert [names(batch) for batch in all_batches(queue)] == [[(1, 0)], [(2, 0)]]


def test_a_cleared_queue_has_nothing():
    queue = queue_of(Entry(1, (10,)))

    queue.clear()

    assert not queue
    assert queue.take(0.0) == []


def test_a_bucket_is_at_most_an_eighth_longer():
    for length in [*range(1, 600), 4095, 4096, 4097, 32_768]:
        assert length <= bucket(length) < length + max(8, length / 8 + 1)
