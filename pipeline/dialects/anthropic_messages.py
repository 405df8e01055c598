"""Anthropic Messages: `POST /v1/messages`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pipeline.api.answer import Event
from pipeline.api.dialect import Dialect, Restater
from pipeline.api.sse import encode_frame
from pipeline.api.text import Place, Role, Segment, Tool, ToolCall, Usage
from pipeline.dialects import anthropic_messages_stream as stream
from pipeline.dialects import strict_json
from pipeline.dialects.anthropic_messages_blocks import find_in_content, with_texts
from pipeline.dialects.reading import LENIENT, STRICT, Reader, event_data, event_type, type_of
from pipeline.dialects.replaying import with_cache_read, with_prefix
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

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_ERRORS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class AnthropicMessages:
    """Anthropic's Messages API."""

    name = "anthropic.messages"
    paths: tuple[str, ...] = ("/v1/messages", "/anthropic/v1/messages")
    content_fields = frozenset({"model", "system", "messages", "tools", "stream"})

    # --- requests
    def check(self, document: Json) -> None:
        """Raise InvalidCall for a field that is missing or of the wrong type."""
        STRICT.field(document, (), "model", str, required=True)
        STRICT.field(document, (), "stream", bool)
        tools = STRICT.field(document, (), "tools", list) or []
        for _ in STRICT.objects(tools, ("tools",)):
            pass
        for _ in _find(STRICT, document):
            pass

    def model(self, document: Json) -> str:
        """Return the model asked for, or an empty string."""
        return LENIENT.field(document, (), "model", str) or ""

    def with_model(self, document: Json, model: str) -> Json:
        """Return the document asking for another model."""
        return {**document, "model": model}

    def segments(self, document: Json) -> tuple[Segment, ...]:
        """Find the system prompt, then the messages' blocks."""
        return tuple(found.segment for found in _find(LENIENT, document))

    def with_segments(self, document: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite, insert and remove segments.

        A new system or developer segment becomes a block of `system`: before the system block that
        it stands before, else the last.
        """
        edits = compare(_find(LENIENT, document), segments)
        system: dict[int, list[Json]] = {}
        messages: dict[int, list[Json]] = {}
        for segment, before in edits.inserted:
            new = new_message(segment, message=_message, result=_result)
            if segment.role in ("system", "developer"):
                index = _index(before, "system", length(document, "system"))
                system.setdefault(index, []).append(new)
            else:
                last = 0 if before else length(document, "messages")
                messages.setdefault(_index(before, "messages", last), []).append(new)
        gone = removals(document, edits.removed, sturdy=frozenset())
        document = with_texts(document, edits.texts)
        document = splice(document, "system", gone=gone, inserted=system, wrap=_text_block)
        if gone and document.get("system") == []:
            document = {key: value for key, value in document.items() if key != "system"}
        return splice(document, "messages", gone=gone, inserted=messages, wrap=_text_block)

    def tools(self, document: Json) -> tuple[Tool, ...]:
        """Find the tools offered."""
        found = []
        tools = LENIENT.field(document, (), "tools", list) or []
        for place, tool in LENIENT.objects(tools, ("tools",)):
            name = LENIENT.field(tool, (), "name", str)
            kind = LENIENT.field(tool, (), "type", str)
            about = LENIENT.field(tool, (), "description", str)
            found.append(Tool(name or kind or "", about or "", place))
        return tuple(found)

    def encode(self, document: Json) -> bytes:
        """Return the document as JSON bytes."""
        return strict_json.dumps(document)

    # --- whole answers
    def answer_segments(self, document: Json) -> tuple[Segment, ...]:
        """Find texts, thinking and tool inputs in the answer's blocks."""
        return tuple(found.segment for found in _find_answer(document))

    def with_answer_segments(self, document: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite the texts of an answer in place; thinking can only be left out."""
        return with_texts(document, answer_texts(_find_answer(document), segments))

    def tool_calls(self, document: Json) -> tuple[ToolCall, ...]:
        """Find the calls of the client's tools; Anthropic runs its own tools itself."""
        calls = []
        blocks = LENIENT.field(document, (), "content", list) or []
        for _, block in LENIENT.objects(blocks, ()):
            if type_of(block) == "tool_use":
                call_id = LENIENT.field(block, (), "id", str) or ""
                name = LENIENT.field(block, (), "name", str) or ""
                arguments = LENIENT.field(block, (), "input", dict) or {}
                calls.append(ToolCall(call_id, name, strict_json.dumps(arguments).decode()))
        return tuple(calls)

    def finish_reason(self, document: Json) -> str:
        """Return the stop reason."""
        return LENIENT.field(document, (), "stop_reason", str) or ""

    def usage(self, document: Json) -> Usage:
        """Return the tokens counted; Anthropic counts cached input tokens apart from the rest."""
        return _usage(LENIENT.field(document, (), "usage", dict) or {})

    def compose(self, text: str, *, model: str, id: str, created_s: int) -> Json:  # noqa: A002, ARG002
        """Return a complete answer document saying `text`; the format has no time in it."""
        return {
            "id": id,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [_text_block(text)],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": 0,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 0,
            },
        }

    def replayed(self, document: Json, *, id: str, created_s: int) -> Json:  # noqa: A002, ARG002
        """Return a stored answer as a fresh one; the format has no time in it."""
        fresh = {**document, "id": with_prefix("msg_", id)}
        if isinstance(document.get("usage"), dict):
            fresh["usage"] = with_cache_read(document["usage"])
        return fresh

    # --- streamed answers
    def decode_event(self, raw: bytes, name: str, data: str | None) -> Event:
        """Read one SSE frame; what is no JSON object has no data."""
        document = event_data(data)
        closes = stream.is_closing(event_type(name, document))
        return Event(self, raw, name=name, data=document, closes=closes)

    def encode_event(self, name: str, data: Json) -> bytes:
        """Return one SSE frame."""
        return encode_frame(name, strict_json.dumps(data).decode())

    def event_segments(self, name: str, data: Json | None) -> tuple[Segment, ...]:
        """Find the texts that an event adds."""
        return tuple(found.segment for found in stream.find_in_event(name, data))

    def with_event_segments(self, name: str, data: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite the texts of an event in place; thinking can only be left out."""
        return with_texts(data, answer_texts(stream.find_in_event(name, data), segments))

    def event_finish_reason(self, name: str, data: Json | None) -> str:
        """Return the stop reason on the event that says so, else an empty string."""
        return self.finish_reason(stream.event_ending(name, data))

    def event_usage(self, name: str, data: Json | None) -> Usage | None:
        """Return the tokens that an event states: input at the start, output at the end."""
        usage = stream.event_usage(name, data)
        return None if usage is None else _usage(usage)

    def restate(self) -> Restater | None:
        """Return None: no event repeats the text of another."""
        return None

    def fold(self, events: Iterable[Event]) -> Json:
        """Join a stream's events into the answer document."""
        return stream.fold((event.name, event.data) for event in events if event.data is not None)

    def unfold(self, document: Json, request: Json | None = None) -> list[Event]:  # noqa: ARG002
        """Split an answer document into the events of a stream."""
        return [self._event(data) for data in stream.unfold(document)]

    # --- errors
    def error(self, *, status: int, code: str, message: str, param: str | None = None) -> Json:
        """Return Anthropic's error document, with our `code` and `param` beside its own fields."""
        default = "api_error" if status >= 500 else "invalid_request_error"
        fault = {"type": _ERRORS.get(status, default), "message": message, "code": code}
        return {"type": "error", "error": {**fault, "param": param} if param else fault}

    def error_events(self, *, status: int, code: str, message: str) -> list[Event]:
        """Return the `error` event that ends a stream."""
        return [self._event(self.error(status=status, code=code, message=message))]

    def _event(self, data: Json) -> Event:
        name = data["type"]
        raw = self.encode_event(name, data)
        return Event(self, raw, name=name, data=data, closes=stream.is_closing(name))


def _find(read: Reader, document: Json) -> Iterator[Found]:
    system: Place = ("system",)
    speaker = Segment("system", None)
    yield from find_in_content(read, document, (), "system", speaker, unit=system)
    messages = read.field(document, (), "messages", list, required=True) or []
    for at, message in read.objects(messages, ("messages",)):
        role = read.field(message, at, "role", str, required=True)
        speaker = Segment(_ROLES.get(role, "user"), None)
        yield from find_in_content(read, message, at, "content", speaker, unit=at, required=True)


def _find_answer(document: Json) -> Iterator[Found]:
    speaker = Segment("assistant", None)
    return find_in_content(LENIENT, document, (), "content", speaker, unit=("content",))


def _index(before: Place | None, key: str, otherwise: int) -> int:
    if before is None or before[0] != key:
        return otherwise
    step = before[1] if len(before) > 1 else 0
    return step if isinstance(step, int) else 0


def _message(role: str, text: str) -> Json:
    if role in ("system", "developer"):
        return _text_block(text)
    return {"role": role, "content": text}


def _result(call_id: str, text: str) -> Json:
    block = {"type": "tool_result", "tool_use_id": call_id, "content": text}
    return {"role": "user", "content": [block]}


def _text_block(text: str) -> Json:
    return {"type": "text", "text": text}


def _usage(usage: Json) -> Usage:
    return Usage(
        LENIENT.field(usage, (), "input_tokens", int),
        LENIENT.field(usage, (), "output_tokens", int),
        LENIENT.field(usage, (), "cache_read_input_tokens", int),
    )


_: Dialect = AnthropicMessages()
