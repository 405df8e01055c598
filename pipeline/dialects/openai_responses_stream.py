"""OpenAI Responses as it streams: what events add, and whole answers into and out of events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

from pipeline.api.text import Kind, Place, Segment
from pipeline.dialects.document import value_at
from pipeline.dialects.reading import LENIENT, event_type, type_of
from pipeline.dialects.segment_edits import Found

Json = dict[str, Any]

_DELTAS: dict[str, Kind] = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.function_call_arguments.delta": "tool_argument",
    "response.custom_tool_call_input.delta": "tool_argument",
    "response.mcp_call_arguments.delta": "tool_argument",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.reasoning_text.delta": "reasoning",
}
_ENDINGS = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}
_SLOTS = {
    "response.output_text": ("content", "content_index", "text"),
    "response.refusal": ("content", "content_index", "refusal"),
    "response.reasoning_text": ("content", "content_index", "text"),
    "response.content_part": ("content", "content_index"),
    "response.reasoning_summary_text": ("summary", "summary_index", "text"),
    "response.reasoning_summary_part": ("summary", "summary_index"),
    "response.function_call_arguments": ("arguments",),
    "response.custom_tool_call_input": ("input",),
    "response.mcp_call_arguments": ("arguments",),
}
"""By stem of an event's type: where in its item the event's text or part belongs."""

_PARTS = {
    "output_text": ("response.output_text", "text"),
    "refusal": ("response.refusal", "refusal"),
    "reasoning_text": ("response.reasoning_text", "text"),
    "summary_text": ("response.reasoning_summary_text", "text"),
}
"""By type of a content part: the stem of its text's events, and the text's field."""

_ARGUMENTS = {
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
    "mcp_call": ("response.mcp_call_arguments", "arguments"),
}
"""By type of an item that calls a tool: the same for what it calls with."""


def is_closing(kind: str) -> bool:
    """Say whether an event of this type is a stream's last."""
    return kind in _ENDINGS or kind == "error"


def find_in_event(name: str, data: Json | None) -> Iterator[Found]:
    """Find the text that an event adds.

    Deltas alone add: events that repeat whole texts later are for `ResponsesRepeats`.
    """
    kind = _DELTAS.get(event_type(name, data))
    if kind is not None and data is not None and isinstance(data.get("delta"), str):
        place: Place = ("delta",)
        yield Found(Segment("assistant", data["delta"], kind, at=place), place)


def final_response(name: str, data: Json | None) -> Json:
    """Return the answer document that a terminal event repeats; empty on any other event."""
    response = data.get("response") if data is not None else None
    if event_type(name, data) in _ENDINGS and isinstance(response, dict):
        return response
    return {}


def slot(kind: str, data: Json) -> Place | None:
    """Return where in its output item an event's text or part belongs, or None."""
    place: list[str | int] = []
    for step in _SLOTS.get(kind.rpartition(".")[0], ()):
        value = data.get(step) if step.endswith("_index") else None
        if step.endswith("_index") and not isinstance(value, int):
            return None
        place.append(step if value is None else value)
    return tuple(place) or None


def fold(events: Iterable[tuple[str, Json]]) -> Json:
    """Join events, given by name and data, into the answer document.

    The terminal event has it whole. A stream that was cut short gives what came so far, with the
    status `incomplete`, or `failed` after an error.
    """
    answer: Json = {"object": "response", "output": []}
    items: dict[int, Json] = {}
    status = "incomplete"
    for name, data in events:
        kind = event_type(name, data)
        if isinstance(response := data.get("response"), dict):
            answer = response
        if kind in _ENDINGS:
            # Some providers repeat the answer without its output.
            if answer.get("output") or not items:
                return answer
            status = _ENDINGS[kind]
            break
        if kind == "error":
            answer = {**answer, "error": {key: data.get(key) for key in ("code", "message")}}
            status = "failed"
            break
        _grow(items, kind, data)
    return {**answer, "status": status, "output": [items[index] for index in sorted(items)]}


def unfold(document: Json) -> list[Json]:
    """Split an answer document into the data of the events that a streamed call would get."""
    steps = enumerate(_steps(document))
    return [{"type": kind, "sequence_number": n, **fields} for n, (kind, fields) in steps]


def _grow(items: dict[int, Json], kind: str, data: Json) -> None:
    index, item = data.get("output_index"), data.get("item")
    if not isinstance(index, int):
        return
    if isinstance(item, dict):
        items[index] = deepcopy(item)
        return
    place = slot(kind, data)
    if place is None or index not in items:
        return
    holder: Any = items[index]
    part = data.get("part")
    if isinstance(part, dict):
        parts = LENIENT.field(holder, (), str(place[0]), list) or []
        if place[1:] == (len(parts),):
            holder[place[0]] = [*parts, deepcopy(part)]
    elif kind in _DELTAS and isinstance(data.get("delta"), str):
        try:
            holder = value_at(holder, place[:-1])
        except (KeyError, IndexError, TypeError):
            return  # a delta for a part that was never announced
        if isinstance(holder, dict):
            said = LENIENT.field(holder, (), str(place[-1]), str) or ""
            holder[place[-1]] = said + data["delta"]


def _objects(holder: Json, key: str) -> Iterator[tuple[int, Json]]:
    for index, value in enumerate(LENIENT.field(holder, (), key, list) or ()):
        if isinstance(value, dict):
            yield index, value


def _steps(document: Json) -> Iterator[tuple[str, Json]]:
    unknown_yet: Json = {"status": "in_progress", "output": []}
    unknown_yet |= dict.fromkeys(("usage", "completed_at", "incomplete_details", "error"))
    started = {key: unknown_yet.get(key, value) for key, value in document.items()}
    yield "response.created", {"response": started}
    yield "response.in_progress", {"response": started}
    for index, item in _objects(document, "output"):
        yield from _item_steps(index, item)
    endings = {status: kind for kind, status in _ENDINGS.items()}
    kind = endings.get(str(document.get("status")), "response.completed")
    yield kind, {"response": document}


def _item_steps(index: int, item: Json) -> Iterator[tuple[str, Json]]:
    empty = {"status": "in_progress", "content": [], "summary": []}
    call = _ARGUMENTS.get(type_of(item))
    if call is not None:
        empty[call[1]] = ""
    known = call is not None or type_of(item) in ("message", "reasoning")
    # None stays None: `content` of a reasoning item often is.
    opened = {k: empty.get(k, v) if known and v is not None else v for k, v in item.items()}
    yield "response.output_item.added", {"output_index": index, "item": opened}
    at = {"item_id": item.get("id") or "", "output_index": index}
    if call is not None:
        stem, field = call
        text = LENIENT.field(item, (), field, str) or ""
        if text:
            yield f"{stem}.delta", {**at, "delta": text}
        yield f"{stem}.done", {**at, field: text}
    elif known:
        for key, stem in (
            ("summary", "response.reasoning_summary_part"),
            ("content", "response.content_part"),
        ):
            for number, part in _objects(item, key):
                yield from _part_steps({**at, f"{key}_index": number}, stem, part)
    yield "response.output_item.done", {"output_index": index, "item": item}


def _part_steps(at: Json, stem: str, part: Json) -> Iterator[tuple[str, Json]]:
    text_stem, field = _PARTS.get(type_of(part), ("", ""))
    empty: Json = {field: "", "annotations": [], "logprobs": []}
    opened = {k: empty.get(k, v) if field and v is not None else v for k, v in part.items()}
    yield f"{stem}.added", {**at, "part": opened}
    if field:
        text = LENIENT.field(part, (), field, str) or ""
        logprobs = LENIENT.field(part, (), "logprobs", list) or []
        spelled = {"logprobs": logprobs} if "annotations" in part else {}
        if text:
            yield f"{text_stem}.delta", {**at, "delta": text, **spelled}
        for number, annotation in enumerate(LENIENT.field(part, (), "annotations", list) or ()):
            noted = {**at, "annotation_index": number, "annotation": annotation}
            yield f"{text_stem}.annotation.added", noted
        yield f"{text_stem}.done", {**at, field: text, **spelled}
    yield f"{stem}.done", {**at, "part": part}
