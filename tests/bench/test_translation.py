"""What is said of a translated hop, and that the benchmark's streams are what it counts."""

from __future__ import annotations

from bench import claude, translation
from bench.effort import QUICK
from bench.scenarios import METRICS
from bench.translation import ATTEMPTED, PLAIN, TRANSLATED, comparisons, scenarios
from bench.translation_cpu import event_row


def sampled(plain, translated):
    return {
        PLAIN: [dict.fromkeys(METRICS, plain)] * 3,
        TRANSLATED: [dict.fromkeys(METRICS, translated)] * 3,
        ATTEMPTED: [dict.fromkeys(METRICS, 2 * translated)] * 3,
    }


def test_a_hop_is_what_the_translated_variant_costs_beyond_the_other():
    rounds = {scenario.key: sampled(1_000.0, 1_400.0) for scenario in scenarios(QUICK)}
    rounds["translation_6mb"] = sampled(1_000.0, 13_000.0)
    found = {row.name: row for row in comparisons(rounds)}

    assert round(found["translation_6kb.python_added"].value, 9) == 0.4
    assert found["translation_6kb.python_added"].holds
    assert round(found["translation.per_byte_6mb_over_600kb"].value, 9) == 3.0
    assert not found["translation.per_byte_6mb_over_600kb"].holds
    assert found["translation_first_event.added"].value == 400.0


def test_scenarios_are_found_by_the_name_of_the_group():
    assert all(translation.NAME in scenario.key for scenario in scenarios(QUICK))


def test_the_streams_event_is_translated_and_ends():
    row = event_row(1)

    assert row.value > 0
    assert row.target == 60.0


def test_a_stream_of_claudes_is_framed_event_by_event():
    assert all(frame.count(b"\n\n") == 1 for frame in (*claude.HEAD, claude.WORD, *claude.TAIL))
