"""What a text looks like: numbers that say how hard it may be, whatever it is about.

Heads read them beside the embedding. An embedding knows the subject, and what it has learned of
one subject does not carry over to the next; length, numbers, symbols and the way a question is
put do.
"""

from __future__ import annotations

import math

import numpy as np

from pipeline.inference.contract import Vector

# Of a longer text only its ends are looked at, so that the cost has a bound.
END_CHARS = 700

_DIGITS = b"0123456789"
_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOWER = b"abcdefghijklmnopqrstuvwxyz"
_CLASSES = {
    "digits": _DIGITS,
    "upper": _UPPER,
    "maths": b"+-*/=^<>%",
    "code": b"{}[]_`;#|&",
    "brackets": b"()",
    "latex": b"\\$",
    "commas": b",:",
    "ascii": bytes(range(128)),
    "letters": _UPPER + _LOWER,
}
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
_OPTIONS = ("\na", "\nb", "\nc", "\nd", "\ne", "\nf", "\ng", "\nh", "\ni", "\nj")
_OPTION_ENDS = (".", ")", ":")

NAMES = (
    "chars",
    "words",
    "lines",
    "sentences",
    "word_length",
    "last_line",
    *_CLASSES,
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
    raw = seen.encode("utf-8", "replace")
    size = len(raw) or 1
    words = lower.count(" ") - 1 + lower.count("\n")
    values = [
        math.log1p(len(text)),
        math.log1p(words * len(text) / (len(seen) or 1)),
        math.log1p(text.count("\n")),
        math.log1p(lower.count(". ") + lower.count("? ") + lower.count("! ")),
        len(seen) / (words + 1) / 6,
        math.log1p(len(seen) - seen.rfind("\n")),
    ]
    values += [1 - len(raw.translate(None, characters)) / size for characters in _CLASSES.values()]
    # Shares of symbols are small numbers; their roots are as large as the others.
    for at in range(6, 6 + len(_CLASSES) - 2):
        values[at] = math.sqrt(max(0.0, values[at]))
    values += [
        math.log1p(lower.count("?")),
        math.log1p(lower.count("__") + lower.count(" _ ")),
        math.log1p(_options(lower)),
    ]
    count = lower.count
    values += [math.log1p(sum(map(count, terms))) for terms in _TERMS.values()]
    return np.asarray(values, np.float32)


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
