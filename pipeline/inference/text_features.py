"""What a text looks like: numbers that say how hard it may be, whatever it is about.

Heads read them beside the embedding. An embedding knows the subject, and what it has learned of
one subject does not carry over to the next; length, numbers, symbols and the way a question is
put do.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import log1p, sqrt

import numpy as np

from pipeline.inference.contract import Vector

# Of a longer text only its ends are looked at, so that the cost has a bound.
END_CHARS = 700

_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LETTERS = _UPPER + _UPPER.lower()
# No two of them share a character.
_SYMBOLS = {
    "digits": b"0123456789",
    "upper": _UPPER,
    "maths": b"+-*/=^<>%",
    "code": b"{}[]_`;#|&",
    "brackets": b"()",
    "latex": b"\\$",
    "commas": b",:",
}
_CODES = [bytes([code]) for code, _ in enumerate(_SYMBOLS, start=1)]
_CODE_OF = bytearray(256)
for _code, _members in enumerate(_SYMBOLS.values(), start=1):
    for _member in _members:
        _CODE_OF[_member] = _code
_NOT_ASCII = bytes(range(128, 256))
# Of the text in lower case between blanks, so " not" finds a word's beginning only.
_TERMS = {
    "negation": (" not ", "n't "),
    "condition": (" if ", " given "),
    "quantity": (" how many", " how much", " each "),
    "comparison": (" than ", " most "),
    "calculation": (" find ", " calculate"),
    "factoid": (" who ", " what "),
    "choice": (" which ", " following"),
    "explanation": (" why ", " how "),
    "premise": (" let ", " that "),
    "task": (" write ", " function"),
    "program": ("def ", "```"),
    "person": (" you ", " my "),
}
# What several terms have in common, and most texts do not: one look instead of several.
_STEMS = (" how", " wh", "'", "`", "")
_BY_STEM: dict[str, list[str]] = {stem: [] for stem in _STEMS}
for _term in chain.from_iterable(_TERMS.values()):
    _BY_STEM[next(stem for stem in _STEMS if stem in _term)].append(_term)
_ORDER = list(chain.from_iterable(_BY_STEM.values()))
# Where the counts of each name's terms stand, of three at most; behind them all stands a zero.
_PLACES = [
    tuple(_ORDER.index(term) if term else len(_ORDER) for term in (*terms, "", "")[:3])
    for terms in _TERMS.values()
]
_OPTIONS = ("\na", "\nb", "\nc", "\nd", "\ne", "\nf", "\ng", "\nh", "\ni", "\nj")
_OPTION_ENDS = (".", ")", ":")

NAMES = (
    "chars",
    "words",
    "lines",
    "sentences",
    "word_length",
    "last_line",
    *_SYMBOLS,
    "ascii",
    "letters",
    "questions",
    "blank",
    "options",
    *_TERMS,
)
"""What each number is, in order."""


def text_features(text: str) -> Vector:
    """Return the numbers of a text, in the order of `NAMES`; all of them finite, most below 10.

    Args:
        text: may be empty.

    Returns:
        Float32 [numbers]: logarithms of counts, and shares of characters.
    """
    seen = text
    if len(text) > 2 * END_CHARS:
        seen = f"{text[:END_CHARS]}\n{text[-END_CHARS:]}"
    lower = f" {seen.lower()} "
    count = lower.count
    words = count(" ") - 1 + count("\n")
    questions = count("?")
    sentences = count(". ") + (count("? ") if questions else 0) + count("! ")
    blanks = count("__") + count(" _ ") if "_" in lower else 0
    return np.array(
        [
            log1p(len(text)),
            log1p(words * len(text) / (len(seen) or 1)),
            log1p(text.count("\n")),
            log1p(sentences),
            len(seen) / (words + 1) / 6,
            log1p(len(seen) - seen.rfind("\n")),
            *_shares(seen),
            log1p(questions),
            log1p(blanks),
            log1p(_options(lower)),
            *_term_counts(lower),
        ],
        np.float32,
    )


def _shares(seen: str) -> Iterator[float]:
    """Yield the share of each class of characters in a text."""
    raw = seen.encode("utf-8", "replace")
    size = len(raw)
    of = size or 1
    coded = raw.translate(_CODE_OF)
    for code in _CODES:
        # Shares of symbols are small numbers; their roots are as large as the others.
        yield sqrt(1 - (size - coded.count(code)) / of)
    yield 1 - (size - len(raw.translate(None, _NOT_ASCII))) / of
    yield 1 - len(raw.translate(None, _LETTERS)) / of


def _term_counts(lower: str) -> list[float]:
    """Return the logarithm of how often each kind of term is there."""
    counts: list[int] = []
    for stem, terms in _BY_STEM.items():
        counts += map(lower.count, terms) if stem in lower else [0] * len(terms)
    counts.append(0)
    sums = [counts[one] + counts[two] + counts[three] for one, two, three in _PLACES]
    return [log1p(number) if number else 0.0 for number in sums]


def _options(lower: str) -> int:
    """Return how many lettered choices follow each other."""
    if "\na" not in lower and "\n(a" not in lower:
        return 0
    found = 0
    for start in _OPTIONS:
        if not any(f"{start}{end}" in lower for end in _OPTION_ENDS):
            break
        found += 1
    return found
