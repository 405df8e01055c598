"""Texts of the benchmark of inference: English sentences of so many tokens, none twice."""

from __future__ import annotations

import random
from collections.abc import Iterator

_SEED = 5
_SENTENCE = 12
# Each of them is one token of the shipped models' vocabulary.
_WORDS = (
    "the", "committee", "met", "on", "tuesday", "and", "agreed", "budget", "for", "new", "library",
    "which", "everybody", "was", "glad", "about", "how", "long", "does", "it", "take", "to",
    "cook", "rice", "with", "beans", "when", "water", "is", "already", "hot", "what", "should",
    "we", "pack", "three", "days", "in", "mountains", "if", "weather", "may", "turn", "cold",
    "please", "write", "short", "letter", "my", "landlord", "that", "asks", "him", "repair",
    "broken", "window", "before", "winter", "comes", "again", "our", "team", "needs", "simple",
    "plan", "next", "month",
)  # fmt: skip


def texts(tokens: int) -> Iterator[str]:
    """Yield texts without end, each of which no other one equals.

    Args:
        tokens: of a text, special ones aside.
    """
    draw = random.Random(f"{_SEED} {tokens}")
    while True:
        yield " ".join(_sentences(draw, tokens))


def _sentences(draw: random.Random, tokens: int) -> Iterator[str]:
    while tokens > 0:
        length = min(tokens, _SENTENCE)
        # A full stop is a token too.
        words = " ".join(draw.choices(_WORDS, k=max(1, length - 1)))
        yield words if length == 1 else f"{words.capitalize()}."
        tokens -= length
