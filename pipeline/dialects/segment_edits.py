"""Segment edits: what a plugin's new list of segments changes, removes and inserts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.api.text import Place, Segment
from pipeline.dialects.document import value_at, without
from pipeline.dialects.reading import type_of

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """A segment of a document, with what a dialect must know to edit it.

    Args:
        segment: the segment, located.
        unit: the place of what has to go when the segment is removed: the smallest thing that
            makes no sense without it, for instance the content part that holds the text.
        is_sealed: the text is signed: it may be removed and never rewritten.
    """

    segment: Segment
    unit: Place
    is_sealed: bool = False


@dataclass(frozen=True, slots=True)
class Edits:
    """The difference between the segments of a document and the ones wanted.

    Args:
        texts: new texts by place.
        removed: what the wanted list leaves out.
        inserted: each new segment with the place of the located one that it stands before; None
            for those at the end.
    """

    texts: Mapping[Place, str]
    removed: Sequence[Found]
    inserted: Sequence[tuple[Segment, Place | None]]


def compare(found: Iterable[Found], wanted: Sequence[Segment]) -> Edits:
    """Work out what a wanted list of segments means for a document.

    Raises:
        ValueError: a located segment is no segment of the document or comes twice; an attachment
            or a signed text was rewritten.
    """
    left = {one.segment.at: one for one in found}
    texts: dict[Place, str] = {}
    inserted: list[tuple[Segment, Place | None]] = []
    waiting: list[Segment] = []
    for segment in wanted:
        if segment.at is None:
            waiting.append(segment)
            continue
        one = left.pop(segment.at, None)
        if one is None:
            raise ValueError(f"no segment stands at {segment.at}, or it was given twice")
        if (text := _new_text(one, segment)) is not None:
            texts[segment.at] = text
        inserted += [(new, segment.at) for new in waiting]
        waiting.clear()
    inserted += [(new, None) for new in waiting]
    return Edits(texts, list(left.values()), inserted)


def answer_texts(found: Iterable[Found], wanted: Sequence[Segment]) -> dict[Place, str]:
    """Return the new texts of an answer or event by place: what is left out becomes empty.

    Raises:
        ValueError: as `compare`, and for a segment without a place.
    """
    edits = compare(found, wanted)
    if edits.inserted:
        raise ValueError("an answer takes no new segments: each needs the place (`at`) of an old")
    removed = {one.segment.at: "" for one in edits.removed if one.segment.text}
    return {**edits.texts, **{place: text for place, text in removed.items() if place is not None}}


def new_message(
    segment: Segment, *, message: Callable[[str, str], Json], result: Callable[[str, str], Json]
) -> Json:
    """Return what a new segment becomes.

    Args:
        segment: the segment.
        message: makes a message of a role and a text.
        result: makes a tool's result of a call's id and a text.

    Raises:
        ValueError: nothing of its kind can be made.
    """
    if segment.text is not None:
        if segment.kind == "text" and segment.role != "tool":
            return message(segment.role, segment.text)
        if segment.kind == "tool_result" and segment.role == "tool" and segment.name:
            return result(segment.name, segment.text)
    raise ValueError(f"a call cannot take a new {segment.kind} of role {segment.role}")


def removals(document: Json, removed: Iterable[Found], *, sturdy: frozenset[str]) -> set[Place]:
    """Return the places to remove: each segment's unit, and what holds nothing else.

    Args:
        document: the document in which the segments were found.
        removed: the segments to remove.
        sturdy: types of objects that stay when their last text goes.
    """
    gone = {one.unit for one in removed}
    fresh = gone
    while fresh:
        lost = Counter(place[:-1] for place in gone if isinstance(place[-1], int))
        emptied = {
            _holder(place)
            for place, count in lost.items()
            if len(place) > 1 and count == len(value_at(document, place))
        }
        fresh = {
            holder for holder in emptied - gone if type_of(value_at(document, holder)) not in sturdy
        }
        gone |= fresh
    return gone


def splice(
    document: Json,
    key: str,
    *,
    gone: set[Place],
    inserted: Mapping[int, Sequence[Json]],
    wrap: Callable[[str], Json],
) -> Json:
    """Insert into and remove from a top-level list; a bare string in its place becomes one.

    Args:
        document: the document.
        key: the list's key; it is added when there is something to insert and no list.
        gone: the places to remove; those outside the list are left alone.
        inserted: what to insert, by the index in the old list that it comes before.
        wrap: makes a bare string a list's item.
    """
    ours = {place for place in gone if place[0] == key}
    items = document.get(key)
    if not inserted and not ours:
        return document
    if not isinstance(items, list):
        if not inserted:
            return {name: value for name, value in document.items() if name != key}
        kept = [wrap(items)] if isinstance(items, str) and not ours else []
        whole = [*inserted.get(0, ()), *kept, *inserted.get(1, ())]
        return {**document, key: whole}
    # Parts of items first: that leaves the indices of the items themselves as they are.
    items = without(document, [place for place in ours if len(place) > 2])[key]
    spliced: list[Any] = []
    for index, item in enumerate(items):
        spliced += inserted.get(index, ())
        if (key, index) not in ours:
            spliced.append(item)
    spliced += inserted.get(len(items), ())
    return {**document, key: spliced}


def length(document: Json, key: str) -> int:
    """Return how many items `splice` sees under a key."""
    items = document.get(key)
    return len(items) if isinstance(items, list) else int(isinstance(items, str))


def _new_text(one: Found, wanted: Segment) -> str | None:
    at = one.segment.at
    if wanted.attachment != one.segment.attachment:
        raise ValueError(f"the attachment at {at} can be removed, not changed")
    if wanted.text == one.segment.text:
        return None
    if one.segment.text is None or wanted.text is None:
        raise ValueError(f"a {one.segment.kind} cannot become a {wanted.kind} in its place")
    if one.is_sealed:
        raise ValueError(f"the reasoning at {at} is signed: it can be removed, not rewritten")
    return wanted.text


def _holder(place: Place) -> Place:
    # From a list of parts up to the object in a list that holds it, however deep inside.
    while not isinstance(place[-1], int):
        place = place[:-1]
    return place
