"""Rewriting, inserting and removing the segments of a chat request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.api.text import Place, Segment
from pipeline.dialects.document import with_values, without
from pipeline.dialects.segment_edits import Found, compare, new_message

Json = dict[str, Any]

_CARRIERS = (
    "content",
    "tool_calls",
    "function_call",
    "refusal",
    "reasoning_content",
    "reasoning",
    "audio",
)
"""Fields of which a message needs one to say something."""


def with_segments(document: Json, old: Sequence[Segment], wanted: Sequence[Segment]) -> Json:
    """Return the chat with the wanted segments in place of its old ones; see `Call.replace`.

    Raises:
        ValueError: a segment has no place in this chat or cannot become a message.
    """
    edits = compare([Found(segment, _unit(segment.at or ())) for segment in old], wanted)
    document = with_values(document, edits.texts)
    gone = {one.unit for one in edits.removed}
    document = without(document, gone)
    count = len(document["messages"])
    inserted: dict[int, list[Json]] = {}
    for segment, place in edits.inserted:
        index = place[1] if place and place[0] == "messages" else count
        new = new_message(segment, message=_message, result=_result)
        inserted.setdefault(int(index), []).append(new)
    thinned = {unit[1] for unit in gone if unit[0] == "messages"}
    if not inserted and not thinned:
        return document
    messages: list[Any] = []
    for index, message in enumerate(document["messages"]):
        messages += inserted.get(index, ())
        tidy = _tidied(message) if index in thinned else message
        if tidy is not None:
            messages.append(tidy)
    messages += inserted.get(count, ())
    return {**document, "messages": messages}


def _unit(at: Place) -> Place:
    """Return the place of what goes when the text at a place goes: field, part or tool call."""
    if at[0] != "messages":
        return at[:1]  # a prediction only saves time: it goes whole
    is_item = len(at) > 3 and isinstance(at[3], int)
    return at[:4] if is_item else at[:3]


def _tidied(message: Json) -> Json | None:
    """Return a message that has lost something, or None when nothing is left in it."""
    if all(message.get(field) in (None, []) for field in _CARRIERS):
        return None
    if message.get("tool_calls") == []:
        message = without(message, [("tool_calls",)])
    # The format wants the field, null if need be, beside tool calls too.
    return message if message.get("content") not in (None, []) else {**message, "content": None}


def _message(role: str, text: str) -> Json:
    return {"role": role, "content": text}


def _result(call_id: str, text: str) -> Json:
    return {"role": "tool", "tool_call_id": call_id, "content": text}
