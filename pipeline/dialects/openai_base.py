"""What OpenAI's chat, completions and embeddings formats share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.api.answer import Event
from pipeline.api.dialect import Dialect, Restater
from pipeline.api.sse import encode_frame
from pipeline.api.text import Place, Segment, Tool, ToolCall, Usage
from pipeline.dialects import strict_json
from pipeline.dialects.document import with_values
from pipeline.dialects.openai_errors import error_document
from pipeline.dialects.openai_messages import objects
from pipeline.dialects.reading import STRICT, event_data
from pipeline.dialects.replaying import with_cached_input, with_prefix
from pipeline.dialects.segment_edits import Found, answer_texts

Json = dict[str, Any]

NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
"""The usage of an answer that no model was asked for."""


def check_common(document: Json) -> None:
    """Raise InvalidCall when the model or the stream flag is of the wrong type."""
    STRICT.field(document, (), "model", str)
    STRICT.field(document, (), "stream", bool)


def with_texts(document: Json, old: Sequence[Segment], wanted: Sequence[Segment]) -> Json:
    """Return an answer or event with new texts in its choices.

    Log probabilities of the old tokens go: they spell the old text.
    """
    found = [Found(segment, segment.at or ()) for segment in old]
    changes: dict[Place, Any] = dict(answer_texts(found, wanted))
    for _, index in {place[:2] for place in changes}:
        if document["choices"][index].get("logprobs"):
            changes["choices", index, "logprobs"] = None
    return with_values(document, changes)  # type: ignore[no-any-return]


class OpenAIFormat:
    """The parts of a dialect that do not depend on where the text is."""

    id_prefix = ""
    """What the id of every answer begins with."""

    def model(self, document: Json) -> str:
        """Return the model asked for, or an empty string."""
        model = document.get("model")
        return model if isinstance(model, str) else ""

    def with_model(self, document: Json, model: str) -> Json:
        """Return the document asking for another model."""
        return {**document, "model": model}

    def tools(self, document: Json) -> tuple[Tool, ...]:  # noqa: ARG002
        """Find the tools offered: only a chat offers any."""
        return ()

    def restate(self) -> Restater | None:
        """Return None: only Responses repeats texts in its streams."""
        return None

    def encode(self, document: Json) -> bytes:
        """Return the document as JSON bytes."""
        return strict_json.dumps(document)

    def tool_calls(self, document: Json) -> tuple[ToolCall, ...]:  # noqa: ARG002
        """Find the tool calls of an answer: only a chat has any."""
        return ()

    def finish_reason(self, document: Json) -> str:
        """Return the first reason that a choice states."""
        for _, choice in objects(document.get("choices")):
            if isinstance(choice.get("finish_reason"), str):
                return str(choice["finish_reason"])
        return ""

    def usage(self, document: Json) -> Usage:
        """Return the tokens counted."""
        return _usage(document) or Usage()

    def replayed(self, document: Json, *, id: str, created_s: int) -> Json:  # noqa: A002
        """Return a stored answer as a fresh one, its input marked as cached."""
        fresh = {**document, "id": with_prefix(self.id_prefix, id), "created": created_s}
        if isinstance(document.get("usage"), dict):
            fresh["usage"] = with_cached_input(document["usage"], "prompt_tokens")
        return fresh

    def decode_event(self: Dialect, raw: bytes, name: str, data: str | None) -> Event:
        """Read one SSE frame; one that holds no JSON object is passed on unread."""
        if data is not None and data.startswith("[DONE]"):
            return Event(self, raw, name=name, closes=True)
        return Event(self, raw, name=name, data=event_data(data))

    def encode_event(self, name: str, data: Json) -> bytes:
        """Return one SSE frame."""
        return encode_frame(name, strict_json.dumps(data).decode())

    def event_finish_reason(self, name: str, data: Json | None) -> str:  # noqa: ARG002
        """Return why the model stopped, on the event that says so."""
        return "" if data is None else self.finish_reason(data)

    def event_usage(self, name: str, data: Json | None) -> Usage | None:  # noqa: ARG002
        """Return the tokens that an event states, if it states any."""
        return None if data is None else _usage(data)

    def error(self, *, status: int, code: str, message: str, param: str | None = None) -> Json:
        """Return the format's error document."""
        return error_document(status=status, code=code, message=message, param=param)

    def error_events(self: Dialect, *, status: int, code: str, message: str) -> list[Event]:
        """Return the events that end a stream with an error: the SDKs raise on the first."""
        return as_events(self, [error_document(status=status, code=code, message=message)])


def as_events(dialect: Dialect, documents: Sequence[Json]) -> list[Event]:
    """Return a stream of documents and its closing event."""
    events = [Event(dialect, dialect.encode_event("", data), data=data) for data in documents]
    return [*events, Event(dialect, b"data: [DONE]\n\n", closes=True)]


def _usage(document: Json) -> Usage | None:
    usage = document.get("usage")
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    return Usage(
        _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), _count(cached)
    )


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) else None
