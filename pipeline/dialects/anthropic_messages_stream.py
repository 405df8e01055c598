"""Anthropic Messages as it streams: what events add, and whole answers into and out of events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any

from pipeline.api.text import Kind, Segment
from pipeline.dialects import strict_json
from pipeline.dialects.anthropic_messages_blocks import find_in_block
from pipeline.dialects.reading import LENIENT, event_type, type_of
from pipeline.dialects.segment_edits import Found
from pipeline.errors import InvalidCall

Json = dict[str, Any]

_DELTAS: dict[str, tuple[str, Kind]] = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "reasoning"),
    "input_json_delta": ("partial_json", "tool_argument"),
}
_ENDING = ("stop_reason", "stop_sequence", "stop_details", "container")
"""Fields of an answer that are known at its end."""


def is_closing(kind: str) -> bool:
    """Say whether an event of this type is a stream's last."""
    return kind in ("message_stop", "error")


def find_in_event(name: str, data: Json | None) -> Iterator[Found]:
    """Find the text that an event adds: a delta's, or what a block starts with."""
    if data is None:
        return
    kind = event_type(name, data)
    if kind == "content_block_start":
        block = LENIENT.field(data, (), "content_block", dict) or {}
        for found in find_in_block(LENIENT, block, ("content_block",), Segment("assistant", None)):
            empty = "{}" if found.segment.kind == "tool_argument" else ""
            if found.segment.text not in (None, empty):
                yield found
    elif kind == "content_block_delta":
        delta = LENIENT.field(data, (), "delta", dict) or {}
        field, medium = _DELTAS.get(type_of(delta), ("", "text"))
        text = LENIENT.field(delta, (), field, str)
        if text is not None:
            place = ("delta", field)
            segment = Segment("assistant", text, medium, at=place)
            yield Found(segment, place, is_sealed=medium == "reasoning")


def event_usage(name: str, data: Json | None) -> Json | None:
    """Return the usage that an event states, if it states any."""
    if data is None:
        return None
    kind = event_type(name, data)
    holder = data.get("message") if kind == "message_start" else data
    if kind not in ("message_start", "message_delta") or not isinstance(holder, dict):
        return None
    usage = holder.get("usage")
    return usage if isinstance(usage, dict) else None


def event_ending(name: str, data: Json | None) -> Json:
    """Return what a `message_delta` says about the answer's end; empty on any other event."""
    if data is None or event_type(name, data) != "message_delta":
        return {}
    return LENIENT.field(data, (), "delta", dict) or {}


def fold(events: Iterable[tuple[str, Json]]) -> Json:
    """Join events, given by name and data, into the answer document.

    A stream that was cut short gets what came so far, with no stop reason.
    """
    answer: Json = {"type": "message", "role": "assistant", "content": []}
    blocks: dict[int, Json] = {}
    inputs: dict[int, str] = {}
    for name, data in events:
        kind, index = event_type(name, data), data.get("index")
        if kind == "message_start" and isinstance(data.get("message"), dict):
            answer = data["message"]
        elif kind == "content_block_start" and isinstance(index, int):
            blocks[index] = deepcopy(LENIENT.field(data, (), "content_block", dict) or {})
        elif kind == "content_block_delta" and isinstance(index, int) and index in blocks:
            _grow(blocks[index], inputs, index, LENIENT.field(data, (), "delta", dict) or {})
        elif kind == "message_delta":
            ending = event_ending(name, data)
            answer = {
                **answer,
                **{k: v for k, v in ending.items() if v is not None or not answer.get(k)},
            }
            if (usage := event_usage(name, data)) is not None:
                # The counts are totals; null means that the earlier one stands.
                stated = {key: value for key, value in usage.items() if value is not None}
                answer["usage"] = {**(LENIENT.field(answer, (), "usage", dict) or {}), **stated}
        if is_closing(kind):
            break
    for index, text in inputs.items():
        blocks[index]["input"] = _arguments(text)
    first = LENIENT.field(answer, (), "content", list) or []
    return {**answer, "content": [*first, *(blocks[index] for index in sorted(blocks))]}


def unfold(document: Json) -> Iterator[Json]:
    """Split an answer document into the data of the events that a streamed call would get."""
    blank: Json = {"content": [], **dict.fromkeys(_ENDING)}
    started = {key: blank.get(key, value) for key, value in document.items()}
    usage = LENIENT.field(document, (), "usage", dict) or {}
    started["usage"] = {"input_tokens": 0, **usage, "output_tokens": 0}
    yield {"type": "message_start", "message": started}
    blocks = LENIENT.field(document, (), "content", list) or []
    for (index,), block in LENIENT.objects(blocks, ()):
        opened, deltas = _opened(block)
        yield {"type": "content_block_start", "index": index, "content_block": opened}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    yield {
        "type": "message_delta",
        "delta": {key: document[key] for key in _ENDING if key in document},
        "usage": {"output_tokens": usage.get("output_tokens", 0)},
    }
    yield {"type": "message_stop"}


def _grow(block: Json, inputs: dict[int, str], index: int, delta: Json) -> None:
    match delta:
        case {"type": "text_delta", "text": str(text)}:
            block["text"] = _said(block, "text") + text
        case {"type": "thinking_delta", "thinking": str(text)}:
            block["thinking"] = _said(block, "thinking") + text
        case {"type": "signature_delta", "signature": str(signature)}:
            block["signature"] = signature
        case {"type": "input_json_delta", "partial_json": str(text)}:
            inputs[index] = inputs.get(index, "") + text
        case {"type": "citations_delta", "citation": citation}:
            block["citations"] = [*(LENIENT.field(block, (), "citations", list) or ()), citation]


def _said(block: Json, field: str) -> str:
    return LENIENT.field(block, (), field, str) or ""


def _opened(block: Json) -> tuple[Json, list[Json]]:
    """Return a block as it starts, and the deltas that make it whole."""
    opened, deltas = dict(block), []
    if block.get("type") == "text" and (text := _said(block, "text")):
        opened["text"] = ""
        deltas.append({"type": "text_delta", "text": text})
    if block.get("type") == "text" and isinstance(block.get("citations"), list):
        opened["citations"] = []
        deltas += [{"type": "citations_delta", "citation": one} for one in block["citations"]]
    if block.get("type") == "thinking":
        for field in ("thinking", "signature"):
            if text := _said(block, field):
                opened[field] = ""
                deltas.append({"type": f"{field}_delta", field: text})
    if block.get("input") and isinstance(block["input"], dict):
        opened["input"] = {}
        arguments = strict_json.dumps(block["input"]).decode()
        deltas.append({"type": "input_json_delta", "partial_json": arguments})
    return opened, deltas


def _arguments(text: str) -> Json:
    try:
        return strict_json.loads_object(text.encode())
    except InvalidCall:
        return {}  # the stream was cut inside them, or they were empty
