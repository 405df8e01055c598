"""Features of a pair: how alike two questions are, and in what they differ."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import log, sqrt

import numpy as np

from plugins.semantic_cache.verifying.reading import Reading, read
from plugins.semantic_cache.verifying.table import Looked, Vectors
from plugins.semantic_cache.verifying.words import (
    COMPARING,
    DIRECTIONS,
    FILLERS,
    NEGATIONS,
    OPPOSITES,
    STOPWORDS,
    SYMMETRIC,
)

NAMES = (
    "cosine", "overlap", "content overlap", "contained", "contains", "content contained",
    "content contains", "shorter", "longer", "words ratio", "only asked", "only stored",
    "only asked content", "only stored content", "numbers apart", "numbers only one side",
    "units apart", "units only one side", "times apart", "times only one side", "names apart",
    "names only one side", "literals apart", "quantifiers", "asks apart", "asks only one side",
    "negation", "direction", "opposites", "polarity", "tense", "pronouns", "voice", "same words",
    "swapped", "roles", "mutual", "compared", "only fillers", "only stopwords", "same last",
    "script", "first word", "learned cosine", "learned rest", "asked rest length",
    "stored rest length", "asked rest most", "stored rest most", "asked rest unmatched",
    "stored rest unmatched", "asked rarity", "stored rarity", "rarity overlap", "unknown",
)  # fmt: skip
"""Of the features, in their order."""

# Words that may be in one of two questions only, for their order to be a matter of its own.
_FEW = 3


def pair_features(
    a: Reading, b: Reading, cosine: float, left: Looked, right: Looked
) -> list[float]:
    """Return the features of a pair, in the order of `NAMES`.

    Args:
        a: the question of now.
        b: the question that was answered.
        cosine: of their embeddings.
        left: the learned words of the first.
        right: of the second.
    """
    return [cosine, *_word_features(a, b), *_learned_features(left, right)]


def disagreements(asked: str, stored: str) -> tuple[str, ...]:
    """Name what differs between two questions; nothing where only their wording does.

    Args:
        asked: the question of now.
        stored: the question that was answered.
    """
    a, b = read(asked), read(stored)
    found = dict(zip(NAMES[1:], _word_features(a, b), strict=False))
    named = (
        ("number", found["numbers apart"] or found["numbers only one side"]),
        ("unit", found["units apart"]),
        ("time", found["times apart"] or found["tense"]),
        ("entity", found["names apart"] or found["names only one side"]),
        ("code", found["literals apart"]),
        ("negation", found["negation"]),
        ("comparison", found["direction"] or found["opposites"]),
        ("quantifier", found["quantifiers"]),
        ("question word", found["asks apart"]),
        ("person", found["pronouns"]),
        ("order", found["roles"] and found["only asked"] + found["only stored"] <= _FEW),
        ("language", found["script"]),
    )
    return tuple(name for name, differs in named if differs)


def _word_features(a: Reading, b: Reading) -> list[float]:
    both = a.bag & b.bag
    only_a, only_b = a.bag - b.bag, b.bag - a.bag
    about_a, about_b = frozenset(a.content), frozenset(b.content)
    about = len(about_a & about_b)
    words_a, words_b = set(a.tokens), set(b.tokens)
    extra_a, extra_b = words_a - words_b, words_b - words_a
    extra = extra_a | extra_b
    opposites = _opposites(extra_a, extra_b)
    negation = float((a.negations + b.negations) % 2)
    direction = float(a.direction != b.direction)
    turned = float(a.direction * b.direction < 0)
    swapped, roles, mutual = _order(a, b)
    count_a, count_b = len(a.tokens), len(b.tokens)
    return [
        _ratio(len(both), len(a.bag | b.bag)),
        _ratio(about, len(about_a | about_b)),
        _ratio(len(both), len(a.bag)),
        _ratio(len(both), len(b.bag)),
        _ratio(about, len(about_a)),
        _ratio(about, len(about_b)),
        log(1 + min(count_a, count_b)),
        log(1 + max(count_a, count_b)),
        _ratio(min(count_a, count_b), max(count_a, count_b)),
        len(only_a),
        len(only_b),
        len(about_a - about_b),
        len(about_b - about_a),
        *_sides(a.numbers, b.numbers),
        *_sides(a.units, b.units),
        *_sides(a.times, b.times),
        *_sides(a.names & extra_a, b.names & extra_b),
        float(bool(a.literals ^ b.literals)),
        len(a.quantifiers ^ b.quantifiers),
        *_sides(a.asks, b.asks),
        negation,
        direction,
        opposites,
        (negation + opposites + turned) % 2,
        float(a.tense != b.tense),
        float(a.pronouns != b.pronouns),
        float(a.passive != b.passive),
        float(not only_a and not only_b),
        swapped,
        roles,
        mutual,
        float(bool((words_a | words_b) & COMPARING) and bool(_comparatives(a) & _comparatives(b))),
        float(extra <= FILLERS and not extra & NEGATIONS),
        float(extra <= STOPWORDS),
        float(a.last == b.last and a.last != a.bag),
        float(a.script != b.script),
        float(a.stems[:1] == b.stems[:1]),
    ]


def _learned_features(left: Looked, right: Looked) -> list[float]:
    if not left.terms or not right.terms:
        return [0.0] * 12
    only_a = [at for at, term in enumerate(left.terms) if term not in right.known]
    only_b = [at for at, term in enumerate(right.terms) if term not in left.known]
    rest_a, rest_b = _Rest(left, only_a, right), _Rest(right, only_b, left)
    between = float(rest_a.total @ rest_b.total) / max(rest_a.length * rest_b.length, 1e-6)
    rare = left.rarity + right.rarity
    return [
        float(left.mean @ right.mean),
        between,
        rest_a.length,
        rest_b.length,
        rest_a.most,
        rest_b.most,
        rest_a.unmatched,
        rest_b.unmatched,
        rest_a.rarity / max(left.rarity, 1e-6),
        rest_b.rarity / max(right.rarity, 1e-6),
        1 - (rest_a.rarity + rest_b.rarity) / max(rare, 1e-6),
        float(rest_a.unknown + rest_b.unknown),
    ]


class _Rest:
    """What only one question says: its words' sum, and the weightiest that the other lacks."""

    __slots__ = ("length", "most", "rarity", "total", "unknown", "unmatched")

    def __init__(self, side: Looked, only: list[int], other: Looked) -> None:
        if not only:
            self.total = _nothing(side.rows.shape[1])
            self.length = self.most = self.unmatched = self.rarity = 0.0
            self.unknown = 0
            return
        self.total = side.rows[only].sum(0)
        self.length = sqrt(float(self.total @ self.total))
        nearest = (side.units[only] @ other.units.T).max(1).tolist()
        lengths = [side.lengths[at] for at in only]
        self.most = max(lengths)
        self.unmatched = max(
            length * (1 - near) for length, near in zip(lengths, nearest, strict=True)
        )
        self.rarity = sum([side.rarities[at] for at in only])
        self.unknown = lengths.count(0.0)


@cache
def _nothing(size: int) -> Vectors:
    return np.zeros(size, np.float32)


def _sides(a: frozenset[str], b: frozenset[str]) -> tuple[float, float]:
    """Return how much differs on both sides, and whether one has more than the other."""
    only_a, only_b = len(a - b), len(b - a)
    return float(min(only_a, only_b)), float(abs(only_a - only_b))


def _opposites(a: set[str], b: set[str]) -> float:
    """Return how many words of one have an opposite in the other, "more" and "less" left out."""
    found = [OPPOSITES[word] for word in a if word in OPPOSITES and word not in DIRECTIONS]
    return float(sum([not other.isdisjoint(b) for other in found]))


def _order(a: Reading, b: Reading) -> tuple[float, float, float]:
    """Return the share of common words that changed places, and whether that changes roles.

    In the passive the roles have changed places already; with "and", "or" or "married to" between
    them they have none.
    """
    shared = frozenset(a.content) & frozenset(b.content)
    first = [word for word in a.content if word in shared]
    second = [word for word in b.content if word in shared]
    mutual = float(bool(set(a.tokens) & SYMMETRIC and set(b.tokens) & SYMMETRIC))
    if len(first) < 2 or first == second:
        roles = float(a.passive != b.passive and len(first) > 1)
        return 0.0, roles, mutual
    place = {word: at for at, word in enumerate(second)}
    order = [place[word] for word in first]
    turns = sum(one > other for one, other in pairwise(order))
    return turns / (len(order) - 1), float(a.passive == b.passive), mutual


def _comparatives(a: Reading) -> set[str]:
    return {t for t in a.tokens if (t.endswith("er") and len(t) > 4) or t in {"more", "less"}}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0
