"""What an answer of Gemini rests on, as annotations: searches' results and quotations."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import Any

from plugins.translate.canonical import Json
from plugins.translate.upstreams.anthropic_words import as_object


def url_citations(text: str, grounding: Any, citations: Any) -> list[Json]:
    """Return the `url_citation`s of an answer.

    Args:
        text: the whole visible text; Gemini counts in its UTF-8 bytes, OpenAI in characters.
        grounding: the candidate's `groundingMetadata`.
        citations: its `citationMetadata`.
    """
    places = _Places(text)
    grounding = as_object(grounding)
    sources = [_source(chunk) for chunk in _list(grounding.get("groundingChunks"))]
    found: list[Json] = []
    known = range(len(sources))
    for support in _list(grounding.get("groundingSupports")):
        support = as_object(support)  # noqa: PLW2901 - whatever it was
        start, end = places.of(as_object(support.get("segment")))
        for index in _list(support.get("groundingChunkIndices")):
            source = sources[index] if isinstance(index, int) and index in known else None
            if source is not None:
                found.append(_cited(start, end, *source))
    if not found:
        found = [_cited(0, 0, *source) for source in sources if source]
    for citation in _list(as_object(citations).get("citations")):
        citation = as_object(citation)  # noqa: PLW2901 - whatever it was
        if url := citation.get("uri"):
            found.append(_cited(*places.of(citation), str(url), str(citation.get("title") or "")))
    return found


class _Places:
    """Turns places in bytes into places in characters."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._ends: list[int] | None = None  # of each character, in bytes
        if not text.isascii():
            self._ends = list(accumulate(len(one.encode()) for one in text))

    def of(self, segment: Json) -> tuple[int, int]:
        start, end = (self._place(segment.get(name)) for name in ("startIndex", "endIndex"))
        quoted = segment.get("text")
        if isinstance(quoted, str) and quoted and self._text[start:end] != quoted:
            # The place is within one of several parts: the words themselves tell where.
            at = self._text.find(quoted)
            return (at, at + len(quoted)) if at >= 0 else (start, end)
        return start, end

    def _place(self, index: Any) -> int:
        at = index if isinstance(index, int) and index > 0 else 0
        if self._ends is None or not at:
            return min(at, len(self._text))
        return min(bisect_left(self._ends, at) + 1, len(self._text))


def _source(chunk: Any) -> tuple[str, str] | None:
    chunk = as_object(chunk)
    for kind in ("web", "maps", "retrievedContext"):
        held = as_object(chunk.get(kind))
        if url := held.get("uri"):
            return str(url), str(held.get("title") or "")
    return None


def _cited(start: int, end: int, url: str, title: str) -> Json:
    told = {"start_index": start, "end_index": end, "title": title, "url": url}
    return {"type": "url_citation", "url_citation": told}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
