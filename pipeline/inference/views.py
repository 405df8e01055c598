"""The views of a text that a guard reads beside the text itself: undisguised, and decoded."""

from __future__ import annotations

import re

from pipeline.inference.decoding import decoded_blocks
from pipeline.inference.normalise import normalise

MAX_CHARS = 65_536
_CONTEXT_CHARS = 120
_DEPTH = 2
_WORD = re.compile(r"[^\W_]+")


def views(text: str, limit: int = 3) -> list[str]:
    """Return other readings of a text, none for a plain one.

    The first is the text with its disguises undone, if letters or words change by that. Then
    comes what its encoded pieces say, each with the words before it; then what is encoded
    within those.

    Args:
        text: any string; `MAX_CHARS` of it are looked at.
        limit: how many views at most.

    Returns:
        Views that differ from the text and from each other, the likeliest first; all together
        are at most a few times as long as what was looked at.
    """
    text = text[:MAX_CHARS]
    found: list[str] = []
    plain = normalise(text)
    if plain != text and _differ(plain, text):
        found.append(plain)
    source = text
    for _ in range(_DEPTH):
        source = _decoded(source)
        if not source:
            break
        source = normalise(source)
        found.append(source)
    if plain is not text and plain != text and (hidden := _decoded(plain)):
        found.append(normalise(hidden))
    return [view for view in dict.fromkeys(found) if view != text][:limit]


def _decoded(text: str) -> str:
    """Return what the encoded pieces of a text say, one a line; empty if there are none."""
    pieces = []
    for begin, plain in sorted(decoded_blocks(text)):
        before = text[max(0, begin - _CONTEXT_CHARS) : begin].rsplit("\n", 1)[-1]
        pieces.append(before + plain)
    return "\n".join(dict.fromkeys(pieces))[:MAX_CHARS]


def _differ(plain: str, text: str) -> bool:
    """Return whether a tokeniser that ignores case and signs reads the two differently."""
    if plain.casefold() == text.casefold():
        return False
    return _WORD.findall(plain.casefold()) != _WORD.findall(text.casefold())
