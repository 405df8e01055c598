"""Streams of the demo upstream: an answer as events that add a few words each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pipeline.api import Dialect, Event


def events(
    dialect: Dialect, document: dict[str, Any], *, words_per_event: int, include_usage: bool
) -> Iterator[Event]:
    """Return the events of a streamed answer, its texts cut into groups of words."""
    position = 0
    for whole in dialect.unfold(document):
        if not include_usage and _is_usage_only(whole):
            continue
        for event in _cut(whole, words_per_event):
            yield _numbered(event, position)
            position += 1


def _cut(event: Event, words_per_event: int) -> list[Event]:
    # Not a tool's arguments: the chunk that has them may state the tool's name, once.
    added = [segment for segment in event.segments if segment.text and segment.kind == "text"]
    if len(added) != 1:
        return [event]
    words = re.findall(r"\s*\S+|\s+", added[0].text or "")
    return [
        event.replace(
            segments=[replace(added[0], text="".join(words[start : start + words_per_event]))]
        )
        for start in range(0, len(words), words_per_event)
    ]


def _numbered(event: Event, position: int) -> Event:
    # Cutting one event into several moves those behind it.
    if event.data is None or "sequence_number" not in event.data:
        return event
    data = event.data | {"sequence_number": position}
    raw = event.dialect.encode_event(event.name, data)
    return Event(event.dialect, raw, name=event.name, data=data, closes=event.closes)


def _is_usage_only(event: Event) -> bool:
    return event.data is not None and event.data.get("choices") == []
