"""Sameness: a question that differs in case, spaces and closing marks only is the same question."""

from __future__ import annotations

import re

# Plain prose on one line: in code, quotations, formulae and names of files each letter may matter.
_PROSE = re.compile(r"[^\W_]+(?:[^\S\n]|[^\W_]|[,.;:?!'’-])*\Z")  # noqa: RUF001 - apostrophe
_CLOSING = " .?!…"
# Not 1: names may differ in case alone. It stands above any threshold that has evidence.
SAME = 0.9999


def is_same(asked: str, stored: str) -> bool:
    """Say whether two questions are one; False for what is no plain prose."""
    one, other = asked.strip(), stored.strip()
    if not (_PROSE.match(one) and _PROSE.match(other)):
        return False
    return _folded(one) == _folded(other)


def _folded(text: str) -> str:
    return " ".join(text.split()).rstrip(_CLOSING).casefold()
