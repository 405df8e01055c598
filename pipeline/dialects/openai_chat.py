"""OpenAI chat completions: `POST /v1/chat/completions`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pipeline.api.answer import Event
from pipeline.api.dialect import Dialect
from pipeline.api.text import Place, Segment, Tool, ToolCall
from pipeline.dialects import openai_stream as stream
from pipeline.dialects.openai_base import (
    NO_USAGE,
    OpenAIFormat,
    as_events,
    check_common,
    with_texts,
)
from pipeline.dialects.openai_chat_edits import with_segments
from pipeline.dialects.openai_messages import message_segments, objects
from pipeline.dialects.reading import STRICT
from pipeline.errors import InvalidCall

Json = dict[str, Any]

_IN_DELTAS = ("content", "refusal", "reasoning_content", "reasoning")
"""Texts of a message that a stream adds after the chunk that opens it."""


class OpenAIChat(OpenAIFormat):
    """OpenAI's chat completions API, and what compatible servers add to it."""

    name = "openai.chat"
    id_prefix = "chatcmpl-"
    paths = ("/v1/chat/completions",)
    content_fields = frozenset({"model", "stream", "messages", "tools", "functions", "prediction"})

    # --- requests
    def check(self, document: Json) -> None:
        """Raise InvalidCall for a field of the wrong type, or when there is no message."""
        check_common(document)
        messages = STRICT.field(document, (), "messages", list, required=True)
        if not messages:
            text = "'messages' must have at least one message"
            raise InvalidCall(text, code="invalid_value", param="messages")
        for place, message in STRICT.objects(messages, ("messages",)):
            if not _is_plain(message):
                _check_message(message, place)
        for field in ("tools", "functions"):
            for _ in STRICT.objects(STRICT.field(document, (), field, list) or (), (field,)):
                pass
        prediction = STRICT.field(document, (), "prediction", dict)
        if prediction is not None:
            _check_content(prediction, ("prediction",))

    def segments(self, document: Json) -> tuple[Segment, ...]:
        """Find every text and attachment: those of the messages, then those of a prediction."""
        found: list[Segment] = []
        for index, message in objects(document.get("messages")):
            # A role that we do not know is trusted as little as a user.
            found += message_segments(message, ("messages", index), default_role="user")
        prediction = document.get("prediction")
        if isinstance(prediction, dict):
            found += message_segments(prediction, ("prediction",), default_role="assistant")
        return tuple(found)

    def with_segments(self, document: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite, insert and remove segments; a new one becomes a message of its role."""
        return with_segments(document, self.segments(document), segments)

    def tools(self, document: Json) -> tuple[Tool, ...]:
        """Find the tools offered, the `functions` of older clients among them."""
        found = []
        for index, tool in objects(document.get("tools")):
            kind = str(tool.get("type", ""))
            offered = tool.get(kind)
            described = offered if isinstance(offered, dict) else {}
            found.append(_tool(described, ("tools", index), kind))
        for index, function in objects(document.get("functions")):
            found.append(_tool(function, ("functions", index), "function"))
        return tuple(found)

    # --- whole answers
    def answer_segments(self, document: Json) -> tuple[Segment, ...]:
        """Find every text that the model produced."""
        return _choice_segments(document, "message")

    def with_answer_segments(self, document: Json, segments: Sequence[Segment]) -> Json:
        """Rewrite the texts of an answer in place."""
        return with_texts(document, self.answer_segments(document), segments)

    def tool_calls(self, document: Json) -> tuple[ToolCall, ...]:
        """Find the tool calls of an answer."""
        found = []
        for _, choice in objects(document.get("choices")):
            message = choice.get("message")
            if not isinstance(message, dict):
                continue
            for _, call in objects(message.get("tool_calls")):
                found.append(_tool_call(call.get("function") or call.get("custom"), call.get("id")))
            if message.get("function_call") is not None:
                found.append(_tool_call(message["function_call"], ""))
        return tuple(found)

    def compose(self, text: str, *, model: str, id: str, created_s: int) -> Json:  # noqa: A002
        """Return a complete answer document saying `text`."""
        message: Json = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return {
            "id": id,
            "object": "chat.completion",
            "created": created_s,
            "model": model,
            "choices": [choice],
            "usage": {**NO_USAGE},
        }

    # --- streamed answers
    def event_segments(self, name: str, data: Json | None) -> tuple[Segment, ...]:  # noqa: ARG002
        """Find the texts that an event adds."""
        if data is None:
            return ()
        return tuple([s for s in _choice_segments(data, "delta") if s.text != ""])

    def with_event_segments(
        self,
        name: str,  # noqa: ARG002
        data: Json,
        segments: Sequence[Segment],
    ) -> Json:
        """Rewrite the texts of an event in place."""
        return with_texts(data, _choice_segments(data, "delta"), segments)

    def fold(self, events: Iterable[Event]) -> Json:
        """Join a stream's events into the answer document that an unstreamed call would get."""
        return stream.fold(events, "chat.completion")

    def unfold(self, document: Json, request: Json | None = None) -> list[Event]:
        """Split an answer document into the events that a streamed call would get."""
        shown = stream.without_unasked_usage(document, request)
        return as_events(self, stream.unfold(shown, "chat.completion.chunk", _split_choice))


def _choice_segments(document: Json, field: str) -> tuple[Segment, ...]:
    found: list[Segment] = []
    for index, choice in objects(document.get("choices")):
        message = choice.get(field)
        if isinstance(message, dict):
            at: Place = ("choices", index, field)
            found += message_segments(message, at, default_role="assistant")
    return tuple(found)


def _tool(described: Json, at: Place, kind: str) -> Tool:
    return Tool(str(described.get("name") or kind), str(described.get("description") or ""), at)


def _tool_call(function: Any, id_: Any) -> ToolCall:
    called = function if isinstance(function, dict) else {}
    arguments = called.get("arguments", called.get("input"))
    return ToolCall(str(id_ or ""), str(called.get("name") or ""), str(arguments or ""))


def _is_plain(message: Json) -> bool:
    """Say whether a message is a role and a text and no more, as nearly all are."""
    return (
        len(message) == 2
        and type(message.get("role")) is str
        and type(message.get("content")) is str
    )


def _check_message(message: Json, at: Place) -> None:
    STRICT.field(message, at, "role", str, required=True)
    _check_content(message, at)
    if "tool_calls" in message:
        calls = STRICT.field(message, at, "tool_calls", list) or ()
        for place, call in STRICT.objects(calls, (*at, "tool_calls")):
            _check_function(call, place, "function")
    if "function_call" in message:
        _check_function(message, at, "function_call")


def _check_function(holder: Json, at: Place, field: str) -> None:
    function = STRICT.field(holder, at, field, dict)
    if function is not None:
        STRICT.field(function, (*at, field), "arguments", str)


def _check_content(holder: Json, at: Place) -> None:
    content = STRICT.field(holder, at, "content", str, list)
    if isinstance(content, list):
        for place, part in STRICT.objects(content, (*at, "content")):
            if part.get("type") == "text":
                STRICT.field(part, place, "text", str, required=True)


def _split_choice(choice: Json) -> list[Json]:
    message = choice.get("message")
    opening: Json = {}
    deltas: list[Json] = [opening]
    for field, value in message.items() if isinstance(message, dict) else ():
        if field in _IN_DELTAS and isinstance(value, str):
            if field == "content":
                opening[field] = ""
            deltas.append({field: value})
        elif field == "tool_calls" and value:
            deltas += [{field: [{"index": i, **call}]} for i, call in objects(value)]
        elif field == "function_call" and value:
            deltas.append({field: value})
        else:
            opening[field] = value
    index = choice.get("index", 0)
    quiet = {"logprobs": None} if "logprobs" in choice else {}
    chunks: list[Json] = [
        {"index": index, "delta": delta, **quiet, "finish_reason": None} for delta in deltas
    ]
    if choice.get("logprobs") is not None:
        # Beside the text that they are about, which follows the opening chunk.
        chunks[min(1, len(chunks) - 1)]["logprobs"] = choice["logprobs"]
    rest = {field: value for field, value in choice.items() if field not in ("message", "logprobs")}
    return [*chunks, {**rest, "index": index, "delta": {}, **quiet}]


_: Dialect = OpenAIChat()
