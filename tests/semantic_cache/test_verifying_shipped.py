from __future__ import annotations

import json
import statistics
import time

import numpy as np
import pytest

from plugins.semantic_cache.verifying import BrokenVerifier, load_verifier, loading
from plugins.semantic_cache.verifying.trees import Trees, logistic

# Cosines as embedders give them: near one whether or not the difference matters.
SAME = [
    ("how do i reset my password", "please tell me how to reset my password", 0.97),
    ("What's the capital of Norway?", "what is the capital of norway", 0.99),
]
OTHER = [
    ("turn on the light in the kitchen", "turn off the light in the kitchen", 0.97),
    ("What is 15 percent of 80?", "What is 25 percent of 80?", 0.97),
    ("Is Kofi a certified nurse?", "Is Kofi a nurse?", 0.97),
    ("Is Marek suing Nadia?", "Is Nadia suing Marek?", 0.99),
    ("Which fish can I eat raw?", "Which fish can I not eat raw?", 0.97),
    ("is it fine to swim before lunch", "is it fine to swim after lunch", 0.98),
]
TIERS = ("small", "tiny")


@pytest.mark.parametrize("tier", TIERS)
def test_a_rewording_is_likelier_to_serve_than_a_word_that_matters(tier):
    verifier = load_verifier(tier)
    same = [verifier.probability(*pair) for pair in SAME]
    other = [verifier.probability(*pair) for pair in OTHER]

    assert min(same) > max(other)
    assert max(other) < verifier.threshold(0.01)


@pytest.mark.parametrize("tier", TIERS)
def test_a_looser_budget_never_has_a_stricter_threshold(tier):
    verifier = load_verifier(tier)
    found = [verifier.threshold(budget) for budget in (0.001, 0.005, 0.01, 0.02, 0.05, 0.2)]

    assert found == sorted(found, reverse=True)
    assert 0.5 < verifier.threshold(0.02) < 1


@pytest.mark.parametrize("tier", TIERS)
def test_a_nearer_pair_is_never_less_likely(tier):
    verifier = load_verifier(tier)
    far, near = (
        verifier.probability("what is my balance", "how much money do i have", cosine)
        for cosine in (0.3, 0.9)
    )

    assert near >= far


def test_a_fingerprint_names_its_tier():
    assert load_verifier("small:3f2a") is load_verifier("small")
    assert load_verifier("smallish") is None
    assert load_verifier("") is None


def test_empty_questions_have_a_probability():
    assert 0 <= load_verifier("small").probability("", "", 1.0) <= 1


def test_damaged_weights_are_refused_before_they_are_parsed(tmp_path, monkeypatch):
    manifest = {
        "words": "words.npz",
        "verifiers": {"small": {"file": "small.npz", "features": list(loading.NAMES)}},
        "files": {"small.npz": "0" * 64},
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "small.npz").write_bytes(b"not what it was")
    monkeypatch.setattr(loading, "_folder", lambda: tmp_path)
    loading._manifest.cache_clear()
    try:
        with pytest.raises(BrokenVerifier, match="small"):
            loading._load.__wrapped__("small")
    finally:
        loading._manifest.cache_clear()


def test_trees_walk_to_the_leaf_that_a_row_belongs_to():
    # One split at 0.5 of feature 1, and one tree that is a leaf.
    trees = Trees(
        features=np.array([1, 0, 0, 0]),
        thresholds=np.array([0.5, 0, 0, 0]),
        children=np.array([1, 2, 1, 1, 2, 2, 3, 3]),
        values=np.array([0, -1.0, 2.0, 0.25]),
        roots=np.array([0, 3]),
        depth=3,
        start=0.5,
    )

    assert trees.score(np.array([9, 0.5], np.float32)) == -0.25
    assert trees.score(np.array([9, 0.6], np.float32)) == 2.75
    assert logistic(-1e9) > 0


def test_two_questions_of_thirty_words_take_well_under_a_millisecond():
    verifier = load_verifier("small")
    stored = [
        "How much money in dollars does Janet earn daily at the farmers market when she sells "
        f"every one of the {count} eggs at 3 dollars and doesn't give one away?"
        for count in range(200)
    ]
    asked = "What is the amount that Janet makes every day at the market if she sells all 16 eggs?"
    took = []
    for question in stored:
        began = time.perf_counter()
        verifier.probability(asked, question, 0.9)
        took.append(time.perf_counter() - began)

    # Measured 0.2 ms; the bound leaves room for a machine that does other work too.
    assert statistics.median(took) < 2e-3
