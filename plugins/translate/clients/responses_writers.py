"""The items of a streamed Response: each opened, filled piece by piece, and closed."""

from __future__ import annotations

from typing import Any

import orjson

from plugins.translate.canonical import Json
from plugins.translate.clients.responses_output import call_item, message_item, text_part
from plugins.translate.clients.responses_thoughts import reasoning_item, thought_item


class Events:
    """Numbers events and holds them as frames until they are taken."""

    __slots__ = ("_frames", "_number")

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._number = 0

    def emit(self, kind: str, fields: Json) -> None:
        """Add an event."""
        event = orjson.dumps({"type": kind, "sequence_number": self._number, **fields})
        self._frames.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), event))
        self._number += 1

    def taken(self) -> bytes:
        """Return the events since the last time."""
        frames, self._frames = self._frames, []
        return b"".join(frames)


class ThoughtWriter:
    """A reasoning item: the thought's text is its summary.

    Args:
        events: takes the events.
        index: the item's place in the output.
        item_id: its id.
    """

    def __init__(self, events: Events, index: int, item_id: str) -> None:
        self._events = events
        self._at: Json = {"item_id": item_id, "output_index": index, "summary_index": 0}
        self._pieces: list[str] = []
        self._signature = ""
        item = {"id": item_id, "type": "reasoning", "summary": []}
        events.emit("response.output_item.added", {"output_index": index, "item": item})

    def add(self, thought: str, signature: str) -> None:
        """Take a piece of the thought, or what the provider signed it with."""
        self._signature += signature
        if not thought:
            return
        if not self._pieces:
            empty = {"type": "summary_text", "text": ""}
            self._events.emit("response.reasoning_summary_part.added", {**self._at, "part": empty})
        self._pieces.append(thought)
        self._events.emit("response.reasoning_summary_text.delta", {**self._at, "delta": thought})

    def close(self, status: str = "") -> Json:  # noqa: ARG002 - a thought has none
        """End the item and return it whole."""
        at = self._at
        item = thought_item(at["item_id"], "".join(self._pieces), self._signature)
        _finish_summary(self._events, at, item["summary"])
        done = {"output_index": at["output_index"], "item": item}
        self._events.emit("response.output_item.done", done)
        return item


def write_block(events: Events, index: int, item_id: str, block: Json) -> Json:
    """Write a thinking block that comes whole, and return its item."""
    item = reasoning_item(block, item_id)
    opened = {**item, "summary": []}
    opened.pop("encrypted_content", None)
    events.emit("response.output_item.added", {"output_index": index, "item": opened})
    for number, part in enumerate(item["summary"]):
        at = {"item_id": item["id"], "output_index": index, "summary_index": number}
        empty = {**part, "text": ""}
        events.emit("response.reasoning_summary_part.added", {**at, "part": empty})
        events.emit("response.reasoning_summary_text.delta", {**at, "delta": part["text"]})
        _finish_summary(events, at, [part])
    events.emit("response.output_item.done", {"output_index": index, "item": item})
    return item


class MessageWriter:
    """A message: parts of text and refusal, one after the other.

    Args:
        events: takes the events.
        index: the item's place in the output.
        item_id: its id.
    """

    def __init__(self, events: Events, index: int, item_id: str) -> None:
        self._events = events
        self._id = item_id
        self._index = index
        self._parts: list[Json] = []
        self._kind = ""
        self._at: Json = {}
        self._pieces: list[str] = []
        self._annotations: list[Json] = []
        self._logprobs: list[Json] = []
        item = message_item(item_id, [], "in_progress")
        events.emit("response.output_item.added", {"output_index": index, "item": item})

    def text(self, text: str, logprobs: list[Json]) -> None:
        """Take a piece of text."""
        self._begin("output_text")
        self._pieces.append(text)
        self._logprobs += logprobs
        delta = {**self._at, "delta": text, "logprobs": _without_bytes(logprobs)}
        self._events.emit("response.output_text.delta", delta)

    def refusal(self, text: str) -> None:
        """Take a piece of a refusal."""
        self._begin("refusal")
        self._pieces.append(text)
        self._events.emit("response.refusal.delta", {**self._at, "delta": text})

    def cite(self, annotation: Json) -> None:
        """Take a source of the text so far."""
        self._begin("output_text")
        noted = {"annotation_index": len(self._annotations), "annotation": annotation}
        self._annotations.append(annotation)
        self._events.emit("response.output_text.annotation.added", {**self._at, **noted})

    def close(self, status: str) -> Json:
        """End the item and return it whole."""
        self._end_part()
        item = message_item(self._id, self._parts, status)
        done = {"output_index": self._index, "item": item}
        self._events.emit("response.output_item.done", done)
        return item

    def _begin(self, kind: str) -> None:
        if self._kind == kind:
            return
        self._end_part()
        self._kind = kind
        place = {"item_id": self._id, "output_index": self._index}
        self._at = {**place, "content_index": len(self._parts)}
        added = {**self._at, "part": self._part()}
        self._events.emit("response.content_part.added", added)

    def _part(self) -> Json:
        text = "".join(self._pieces)
        if self._kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return text_part(text, self._annotations, self._logprobs)

    def _end_part(self) -> None:
        if not self._kind:
            return
        part = self._part()
        said: Json = {k: part[k] for k in ("text", "refusal") if k in part}
        if "logprobs" in part:
            said["logprobs"] = _without_bytes(part["logprobs"])
        self._events.emit(f"response.{self._kind}.done", {**self._at, **said})
        self._events.emit("response.content_part.done", {**self._at, "part": part})
        self._parts.append(part)
        self._pieces, self._annotations, self._logprobs = [], [], []


class CallWriter:
    """A call of one of the client's tools.

    Args:
        events: takes the events.
        index: the item's place in the output.
        item_id: its id.
        call_id: the id that its result will have.
        called: `type` and `name` of the call.
    """

    def __init__(
        self, events: Events, index: int, item_id: str, call_id: str, called: Json
    ) -> None:
        self._events = events
        self._at: Json = {"item_id": item_id, "output_index": index}
        self._item = (item_id, call_id)
        self._called = {**called, "arguments": ""}
        self._pieces: list[str] = []
        is_custom = called["type"] == "custom"
        self._field = "input" if is_custom else "arguments"
        stem = "custom_tool_call_input" if is_custom else "function_call_arguments"
        self._stem = f"response.{stem}"
        item = call_item(*self._item, self._called, "in_progress")
        events.emit("response.output_item.added", {"output_index": index, "item": item})

    def add(self, arguments: str) -> None:
        """Take a piece of its arguments."""
        if arguments:
            self._pieces.append(arguments)
            self._events.emit(f"{self._stem}.delta", {**self._at, "delta": arguments})

    def close(self, status: str) -> Json:
        """End the item and return it whole."""
        arguments = "".join(self._pieces)
        self._events.emit(f"{self._stem}.done", {**self._at, self._field: arguments})
        item = call_item(*self._item, {**self._called, "arguments": arguments}, status)
        done: dict[str, Any] = {"output_index": self._at["output_index"], "item": item}
        self._events.emit("response.output_item.done", done)
        return item


def _finish_summary(events: Events, at: Json, summary: list[Json]) -> None:
    for part in summary:
        text_done = {**at, "text": part["text"]}
        events.emit("response.reasoning_summary_text.done", text_done)
        events.emit("response.reasoning_summary_part.done", {**at, "part": part})


def _without_bytes(logprobs: list[Json]) -> list[Json]:
    """Return log probabilities as events have them: only items tell the bytes."""
    return [
        {
            "token": one["token"],
            "logprob": one["logprob"],
            "top_logprobs": [
                {"token": top["token"], "logprob": top["logprob"]} for top in one["top_logprobs"]
            ],
        }
        for one in logprobs
    ]
