"""OpenAI Responses: `POST /v1/responses`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pipeline.api.answer import Event
from pipeline.api.dialect import Dialect
from pipeline.api.text import Place, Segment, Tool, ToolCall, Usage
from pipeline.dialects import openai_responses_stream as stream
from pipeline.dialects.openai_base import OpenAIFormat, check_common
from pipeline.dialects.openai_errors import error_type
from pipeline.dialects.openai_responses_items import find_in_items, find_in_part, with_texts
from pipeline.dialects.openai_responses_repeats import ResponsesRepeats
from pipeline.dialects.reading import (
    LENIENT,
    STRICT,
    Reader,
    event_data,
    event_type,
    missing_field,
    type_of,
)
from pipeline.dialects.replaying import with_cached_input, with_prefix
from pipeline.dialects.segment_edits import (
    Found,
    answer_texts,
    compare,
    length,
    new_message,
    removals,
    splice,
)

Json = dict[str, Any]

_STURDY = frozenset({"reasoning", "mcp_call"})
"""Items that mean something without their texts: encrypted reasoning, a call and its error."""

_STATED = ("input", "prompt", "previous_response_id", "conversation")
"""Fields of which a call has at least one: something for the model to go by."""


class OpenAIResponses(OpenAIFormat):
    """OpenAI's Responses API."""

    name = "openai.responses"
    id_prefix = "resp_"
    paths = ("/v1/responses",)
    content_fields = frozenset({"model", "instructions", "input", "prompt", "tools", "stream"})

    # --- requests
    def check(self, document: Json) -> None:
        """Raise InvalidCall for a field of the wrong type, or when nothing is asked."""
        check_common(document)
        tools = STRICT.field(document, (), "tools", list) or []
        for place, tool in STRICT.objects(tools, ("tools",)):
            STRICT.field(tool, place, "type", str, required=True)
        if all(field not in document for field in _STATED):
            raise missing_field(("input",))
        for _ in _find(STRICT, document):
            pass

    def segments(self, document: Json) -> tuple[Segment, ...]:
        """Find the instructions, the variables of the prompt, then the input's items."""
        return tuple(found.segment for found in _find(LENIENT, document))

    def with_segments(self, document: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite, insert and remove segments.

        A new segment becomes a message of the input; the input's first if it stands before
        `instructions`, which the model always reads first.
        """
        edits = compare(_find(LENIENT, document), segments)
        inserted: dict[int, list[Json]] = {}
        for segment, before in edits.inserted:
            index = _input_index(before) if before else length(document, "input")
            item = new_message(segment, message=_message, result=_result)
            inserted.setdefault(index, []).append(item)
        gone = removals(document, edits.removed, sturdy=_STURDY)
        document = with_texts(document, edits.texts)
        document = splice(document, "input", gone=gone, inserted=inserted, wrap=_user_message)
        if ("instructions",) in gone:
            document = {k: v for k, v in document.items() if k != "instructions"}
        return _without_variables(document, gone)

    def tools(self, document: Json) -> tuple[Tool, ...]:
        """Find the tools offered, those in namespaces included."""
        return tuple(_tools(document, ()))

    # --- whole answers
    def answer_segments(self, document: Json) -> tuple[Segment, ...]:
        """Find texts, refusals, reasoning and tool arguments in the output's items."""
        return tuple(found.segment for found in _find_output(document))

    def with_answer_segments(self, document: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite the texts of an answer in place."""
        return with_texts(document, answer_texts(_find_output(document), segments))

    def tool_calls(self, document: Json) -> tuple[ToolCall, ...]:
        """Find the calls of functions and custom tools; OpenAI runs its own tools itself."""
        fields = {"function_call": "arguments", "custom_tool_call": "input"}
        calls = []
        for _, item in LENIENT.objects(_output(document), ()):
            if field := fields.get(type_of(item)):
                texts = (LENIENT.field(item, (), f, str) or "" for f in ("call_id", "name", field))
                calls.append(ToolCall(*texts))
        return tuple(calls)

    def finish_reason(self, document: Json) -> str:
        """Return why the answer is incomplete, else its status."""
        details = LENIENT.field(document, (), "incomplete_details", dict) or {}
        reason = LENIENT.field(details, (), "reason", str)
        return reason or LENIENT.field(document, (), "status", str) or ""

    def usage(self, document: Json) -> Usage:
        """Return the tokens counted."""
        usage = LENIENT.field(document, (), "usage", dict) or {}
        details = LENIENT.field(usage, (), "input_tokens_details", dict) or {}
        return Usage(
            LENIENT.field(usage, (), "input_tokens", int),
            LENIENT.field(usage, (), "output_tokens", int),
            LENIENT.field(details, (), "cached_tokens", int),
        )

    def compose(self, text: str, *, model: str, id: str, created_s: int) -> Json:  # noqa: A002
        """Return a complete answer document saying `text`."""
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        message = {"type": "message", "id": f"msg_{id}", "status": "completed"}
        return {
            "id": id,
            "object": "response",
            "created_at": created_s,
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": model,
            "output": [{**message, "role": "assistant", "content": [part]}],
            "parallel_tool_calls": True,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
            "usage": {
                "input_tokens": 0,
                "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                "output_tokens": 0,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 0,
            },
        }

    def replayed(self, document: Json, *, id: str, created_s: int) -> Json:  # noqa: A002
        """Return a stored answer as a fresh one; the items of its output keep their ids."""
        fresh = {**document, "id": with_prefix(self.id_prefix, id), "created_at": created_s}
        if isinstance(document.get("completed_at"), int):
            fresh["completed_at"] = created_s
        if isinstance(document.get("usage"), dict):
            fresh["usage"] = with_cached_input(document["usage"], "input_tokens")
        return fresh

    # --- streamed answers
    def decode_event(self, raw: bytes, name: str, data: str | None) -> Event:
        """Read one SSE frame; what is no JSON object has no data."""
        document = event_data(data)
        closes = stream.is_closing(event_type(name, document))
        return Event(self, raw, name=name, data=document, closes=closes)

    def event_segments(self, name: str, data: Json | None) -> tuple[Segment, ...]:
        """Find the text of a delta; see `restate` for the events that repeat it."""
        return tuple(found.segment for found in stream.find_in_event(name, data))

    def with_event_segments(self, name: str, data: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite the text of a delta."""
        return with_texts(data, answer_texts(stream.find_in_event(name, data), segments))

    def restate(self) -> ResponsesRepeats:
        """Return what makes the repeats of one stream follow its rewritten deltas."""
        return ResponsesRepeats()

    def event_finish_reason(self, name: str, data: Json | None) -> str:
        """Return the finish reason on a terminal event, else an empty string."""
        return self.finish_reason(stream.final_response(name, data))

    def event_usage(self, name: str, data: Json | None) -> Usage | None:
        """Return the tokens counted on a terminal event that states them."""
        response = stream.final_response(name, data)
        return self.usage(response) if isinstance(response.get("usage"), dict) else None

    def fold(self, events: Iterable[Event]) -> Json:
        """Join a stream's events into the answer document."""
        return stream.fold((event.name, event.data) for event in events if event.data is not None)

    def unfold(self, document: Json, request: Json | None = None) -> list[Event]:  # noqa: ARG002
        """Split an answer document into the events of a stream."""
        return [self._event(data) for data in stream.unfold(document)]

    # --- errors
    def error_events(self, *, status: int, code: str, message: str) -> list[Event]:
        """Return the `error` event that ends a stream; it has no field for a status.

        It says the same twice: OpenAI documents the outer fields, and its SDKs raise on `error`.
        """
        said = {"code": code, "message": message, "param": None}
        error = {**said, "type": error_type(status)}
        return [self._event({"type": "error", **said, "sequence_number": 0, "error": error})]

    def _event(self, data: Json) -> Event:
        name = data["type"]
        raw = self.encode_event(name, data)
        return Event(self, raw, name=name, data=data, closes=stream.is_closing(name))


def _find(read: Reader, document: Json) -> Iterator[Found]:
    text = read.field(document, (), "instructions", str)
    if text is not None:
        at: Place = ("instructions",)
        yield Found(Segment("system", text, at=at), at)
    prompt = read.field(document, (), "prompt", dict) or {}
    variables = read.field(prompt, ("prompt",), "variables", dict) or {}
    for name, value in variables.items():
        at = ("prompt", "variables", name)
        if isinstance(value, str):
            yield Found(Segment("user", value, at=at), at)
        elif isinstance(value, dict):
            yield from find_in_part(read, value, at, Segment("user", None))
    content = read.field(document, (), "input", str, list)
    if isinstance(content, str):
        yield Found(Segment("user", content, at=("input",)), ("input",))
    elif content is not None:
        yield from find_in_items(read, content, ("input",))


def _output(document: Json) -> list[Any]:
    return LENIENT.field(document, (), "output", list) or []


def _find_output(document: Json) -> Iterator[Found]:
    return find_in_items(LENIENT, _output(document), ("output",))


def _input_index(before: Place) -> int:
    step = before[1] if before[0] == "input" and len(before) > 1 else 0
    return step if isinstance(step, int) else 0


def _message(role: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": text}


def _user_message(text: str) -> Json:
    return _message("user", text)


def _result(call_id: str, text: str) -> Json:
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def _without_variables(document: Json, gone: set[Place]) -> Json:
    names = {place[2] for place in gone if place[:2] == ("prompt", "variables")}
    if not names:
        return document
    prompt = document["prompt"]
    kept = {name: value for name, value in prompt["variables"].items() if name not in names}
    return {**document, "prompt": {**prompt, "variables": kept}}


def _tools(holder: Json, at: Place) -> Iterator[Tool]:
    tools = LENIENT.field(holder, at, "tools", list) or []
    for place, tool in LENIENT.objects(tools, (*at, "tools")):
        if tool.get("type") == "namespace":
            yield from _tools(tool, place)
        else:
            name = LENIENT.field(tool, place, "name", str)
            kind = LENIENT.field(tool, place, "type", str)
            about = LENIENT.field(tool, place, "description", str)
            yield Tool(name or kind or "", about or "", place)


_: Dialect = OpenAIResponses()
