"""What the simulated Cohere answers, whole and as events, valid by its SDK's types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from cohere.types.usage import Usage
from cohere.v2.types.v2chat_response import V2ChatResponse
from cohere.v2.types.v2chat_stream_response import V2ChatStreamResponse
from pydantic import TypeAdapter

Json = dict[str, Any]

_EVENT: TypeAdapter[Any] = TypeAdapter(V2ChatStreamResponse)
_PIECE = 7
_FINISH = {"long": "MAX_TOKENS", "stop": "STOP_SEQUENCE"}
CITED = "The grass is green. Paris is big."


def question(body: Json) -> str:
    """Return the last words that a user said."""
    for message in reversed(body["messages"]):
        content = message.get("content")
        if message["role"] == "tool":
            return "tool result"
        if isinstance(content, str):
            return content
        if message["role"] == "user":
            return " ".join(part["text"] for part in content if part["type"] == "text")
    return ""


def response(body: Json) -> Json:
    """Return the whole response to a valid body."""
    asked = question(body)
    message: Json = {"role": "assistant"}
    reason = next((one for word, one in _FINISH.items() if word in asked), "COMPLETE")
    content: list[Json] = []
    if (body.get("thinking") or {}).get("type") == "enabled":
        content.append({"type": "thinking", "thinking": "Let me think about it."})
    names = [tool["function"]["name"] for tool in body.get("tools", ())]
    choice = body.get("tool_choice")
    wants = "use a tool" in asked or choice == "REQUIRED"
    if names and choice != "NONE" and wants:
        message["tool_plan"] = "I will look."
        message["tool_calls"] = list(_calls(names[:2], asked))
        reason = "TOOL_CALL"
    elif body.get("documents"):
        content.append({"type": "text", "text": CITED})
        message["citations"] = _citations()
    else:
        images = str(body["messages"]).count("'image_url': {")
        text = f"You said {asked!r} with {images} images. ✓"
        text = json.dumps({"answer": 42}) if "response_format" in body else text
        content.append({"type": "text", "text": text})
    if content:
        message["content"] = content
    answer: Json = {
        "id": "chat-1",
        "finish_reason": reason,
        "message": message,
        "usage": {
            "billed_units": {"input_tokens": 5, "output_tokens": 7},
            "tokens": {"input_tokens": 71, "output_tokens": 9},
            "cached_tokens": 16,
        },
    }
    if body.get("logprobs"):
        answer["logprobs"] = [{"text": "You", "token_ids": [1], "logprobs": [-0.5]}]
    V2ChatResponse.model_validate(answer, strict=True)
    Usage.model_validate(answer["usage"])
    return answer


def _calls(names: list[str], asked: str) -> Iterator[Json]:
    for number, name in enumerate(names):
        arguments = "{}" if "empty" in asked else json.dumps({"city": "Paris", "at": number})
        function = {"name": name, "arguments": arguments}
        yield {"id": f"{name}_{number}", "type": "function", "function": function}


def _citations() -> list[Json]:
    page = {"id": "d2", "title": "Paris", "url": "https://example.com/paris"}
    return [
        {
            "start": 0,
            "end": 19,
            "text": "The grass is green.",
            "sources": [{"type": "document", "id": "d1", "document": {"id": "d1", "text": "g"}}],
            "type": "TEXT_CONTENT",
        },
        {
            "start": 20,
            "end": 33,
            "text": "Paris is big.",
            "sources": [{"type": "document", "id": "d2", "document": page}],
            "content_index": 0,
            "type": "TEXT_CONTENT",
        },
    ]


def events(answer: Json) -> Iterator[Json]:
    """Yield the answer as the events of a stream, each valid by Cohere's types."""
    for event in _events(answer):
        _EVENT.validate_python(event, strict=True)
        yield event


def _events(answer: Json) -> Iterator[Json]:
    message = answer["message"]
    opening = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
    yield {"type": "message-start", "id": answer["id"], "delta": {"message": opening}}
    for piece in _pieces(message.get("tool_plan", "")):
        yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}}
    for index, item in enumerate(message.get("content", ())):
        kind = item["type"]
        yield _event("content-start", index, content={"type": kind, kind: ""})
        for piece in _pieces(item[kind]):
            yield _event("content-delta", index, content={kind: piece})
        for number, citation in enumerate(message.get("citations", ())):
            yield _event("citation-start", number, citations=citation)
            yield {"type": "citation-end", "index": number}
        yield {"type": "content-end", "index": index}
    for index, call in enumerate(message.get("tool_calls", ())):
        opened = {**call, "function": {**call["function"], "arguments": ""}}
        yield _event("tool-call-start", index, tool_calls=opened)
        arguments = call["function"]["arguments"]
        for piece in _pieces("" if arguments == "{}" else arguments):
            yield _event("tool-call-delta", index, tool_calls={"function": {"arguments": piece}})
        yield {"type": "tool-call-end", "index": index}
    ending = {"finish_reason": answer["finish_reason"], "usage": answer["usage"]}
    yield {"type": "message-end", "id": answer["id"], "delta": ending}


def _event(kind: str, index: int, **message: Any) -> Json:
    return {"type": kind, "index": index, "delta": {"message": message}}


def _pieces(text: str) -> list[str]:
    return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
