from __future__ import annotations

import numpy as np
import pytest

from models.cache_stream.figures import LEAST_HITS, choose, measure
from models.cache_stream.intervals import clopper_pearson
from models.cache_stream.replay import NEIGHBOURS, Outcome, Replay, exact, oracle, pooled
from models.cache_stream.streams import OUT_OF_SCOPE, Stream, Utterance, halves, stream


def unit(rows):
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def utterances(intents=12, each=20, outside=40):
    known = [Utterance(f"{i} {j}", f"intent {i}") for i in range(intents) for j in range(each)]
    return known + [Utterance(f"out {j}", OUT_OF_SCOPE) for j in range(outside)]


@pytest.mark.parametrize(("events", "trials"), [(0, 300), (3, 300), (300, 300), (1, 7)])
def test_intervals_are_those_of_the_exact_binomial_test(events, trials):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(events, trials).proportion_ci(0.95, "exact")

    assert clopper_pearson(events, trials) == pytest.approx((expected.low, expected.high))


def test_three_hundred_hits_without_an_error_show_about_one_percent():
    pytest.importorskip("scipy")

    assert clopper_pearson(0, LEAST_HITS)[1] == pytest.approx(0.0122, abs=1e-3)
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_a_miss_is_stored_and_a_hit_is_not():
    # Each lies within reach of the one before; the third of the second only, which was a hit.
    vectors = unit([[1, 0], [1, 0.3], [1, 0.7]])
    outcome = Replay(Stream(("a", "b", "c"), np.array([0, 0, 1])), vectors).at(0.95)

    assert outcome == Outcome(requests=3, hits=1, wrong=0)


def test_a_hit_with_another_answer_is_wrong():
    outcome = Replay(Stream(("a", "b"), np.array([0, 1])), unit([[1, 0], [1, 0.01]])).at(0.9)

    assert (outcome.hits, outcome.wrong) == (1, 1)


def test_a_replay_agrees_with_the_plain_loop_where_few_neighbours_are_stored():
    generator = np.random.default_rng(3)
    vectors = unit(generator.normal(size=(6 * NEIGHBOURS, 3)))
    answers = generator.integers(4, size=len(vectors))
    replay = Replay(Stream(tuple(map(str, range(len(vectors)))), answers), vectors)
    for threshold in (0.3, 0.9, 0.99, 0.9999):
        stored, hits, wrong = [], 0, 0
        for at, vector in enumerate(vectors):
            near = vectors[stored] @ vector if stored else np.zeros(0)
            if len(near) and near.max() >= threshold:
                hits += 1
                wrong += int(answers[stored[int(near.argmax())]] != answers[at])
            else:
                stored.append(at)

        assert replay.at(threshold) == Outcome(len(vectors), hits, wrong)


def test_exact_match_and_the_oracle_bound_what_a_cache_can_do():
    requests = Stream(("a", "b", "a", "c"), np.array([0, 0, 0, 1]))

    assert exact(requests) == Outcome(4, 1, 0)
    assert oracle(requests) == Outcome(4, 2, 0)


def test_halves_share_no_text_and_have_every_intent():
    calibration, test = halves(utterances(), seed=0)

    assert not {one.text for one in calibration} & {one.text for one in test}
    assert {one.intent for one in calibration} == {one.intent for one in test}


def test_no_utterance_arrives_twice_and_few_intents_come_often():
    drawn = stream(utterances(each=200), 300, seed=1)

    assert len(set(drawn.texts)) == len(drawn.texts) == 300
    counts = np.sort(np.bincount(drawn.answers))[::-1]
    assert counts[0] > 3 * counts[5]
    assert (drawn.texts, drawn.answers.tolist()) == (
        (again := stream(utterances(each=200), 300, seed=1)).texts,
        again.answers.tolist(),
    )


def test_no_two_requests_out_of_scope_have_one_answer():
    drawn = stream(utterances(), 200, seed=2)
    outside = [
        answer
        for text, answer in zip(drawn.texts, drawn.answers.tolist(), strict=True)
        if text.startswith("out")
    ]

    assert outside
    assert len(set(outside)) == len(outside)


def test_the_chosen_threshold_has_most_hits_within_the_budget():
    outcomes = [Outcome(100, 60, 9), Outcome(100, 40, 0), Outcome(100, 10, 0), Outcome(100, 0, 0)]

    assert choose(outcomes, 0.01) == 1
    assert choose(outcomes, 0.2) == 0
    assert choose([Outcome(9, 9, 9)], 0.01) == 0


def test_an_embedder_that_knows_intents_hits_as_the_oracle_does():
    calibration, test = halves(utterances(), seed=0)
    streams = [[stream(part, 100, seed) for seed in (1, 2)] for part in (calibration, test)]

    def knows(texts):
        # Out of scope, a direction of its own for each text.
        rows = np.zeros((len(texts), 12 + len(texts)), np.float32)
        for at, text in enumerate(texts):
            rows[at, 12 + at if text.startswith("out") else int(text.split()[0])] = 1
        return rows

    report = measure(knows, *streams)

    assert report.figure(0.01).test == report.oracle == pooled([oracle(s) for s in streams[1]])
