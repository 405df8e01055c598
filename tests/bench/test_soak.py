"""What a soak asks, and how it is judged."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from bench.soak import Sample, judge
from bench.soak_load import draw


def samples(leak_bytes=0.0, tasks=5, grown_tasks=0):
    found = []
    for i in range(1, 101):
        noise = random.Random(i).randrange(-4096, 4096)
        warming = 10_000_000 if i > 10 else 1_000_000 * i
        rss = 80_000_000 + warming + int(leak_bytes * i * 1000) + noise
        found.append(Sample(i * 1000, rss, 50_000_000, 30, 12, tasks + grown_tasks * (i > 50)))
    return found


def rows_of(*arguments, endings=None, **options):
    endings = Counter(endings or {"answered": 95_000, "cancelled": 5_000})
    return {row.name: row for row in judge(samples(*arguments, **options), endings, 100.0)}


def test_memory_that_only_warms_up_holds():
    row = rows_of()["soak.host.rss_slope"]

    assert row.holds
    assert row.certain


@pytest.mark.parametrize("leak_bytes", [20, 126])
def test_a_leak_is_found_with_its_size(leak_bytes):
    row = rows_of(leak_bytes)["soak.host.rss_slope"]

    assert not row.holds
    assert row.certain
    assert row.value == pytest.approx(leak_bytes, rel=0.1)


def test_tasks_that_stay_are_found():
    assert rows_of()["soak.tasks.growth"].holds
    assert not rows_of(grown_tasks=3)["soak.tasks.growth"].holds


def test_failures_are_counted_and_cancels_are_none():
    rows = rows_of(endings={"answered": 94_990, "cancelled": 5_000, "failed: 503": 10})

    assert rows["soak.failed"].value == 10
    assert not rows["soak.failed"].holds
    assert rows["soak.cancelled"].value == pytest.approx(5)


def test_the_mix_has_its_shares_and_cancels_in_every_phase():
    randomness = random.Random(1)
    turns = [draw(randomness) for _ in range(20_000)]
    phases = Counter(turn.cancel for turn in turns)

    assert sum(turn.streamed for turn in turns) / 20_000 == pytest.approx(0.2, abs=0.02)
    assert 1 - phases["none"] / 20_000 == pytest.approx(0.05, abs=0.01)
    assert set(phases) == {"none", "body", "answer", "stream"}
    assert all(turn.streamed for turn in turns if turn.cancel == "stream")
