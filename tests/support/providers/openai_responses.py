"""OpenAI's Responses API, simulated: strict about what it is sent.

The last question's words script the answer as for chats: `tool`, `think`, `error 429`,
`broken stream`, `cut`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import ResponseCreateParamsBase
from pydantic import TypeAdapter

from tests.support.providers.openai import ANSWER, THOUGHT, Seen, error_response, stream
from tests.support.providers.typed import Mismatch, conform

Json = dict[str, Any]

_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
_ERROR = re.compile(r"error (\d{3})")
_PIECE = 9
_BROKEN_AT = 4


def question(body: Json) -> str:
    """Return the last text that a user said."""
    if isinstance(body["input"], str):
        return body["input"]
    for item in reversed(body["input"]):
        if item.get("role") == "user":
            content = item["content"]
            if isinstance(content, str):
                return content
            return " ".join(part.get("text", "") for part in content)
    return ""


def response(body: Json) -> Json:
    """Return the whole answer, valid by OpenAI's types."""
    asked = question(body)
    output: list[Json] = []
    if "think" in asked:
        summary = [{"type": "summary_text", "text": THOUGHT}]
        output.append({"id": "rs_1", "type": "reasoning", "summary": summary})
    if "tool" in asked and body.get("tools"):
        called = {"name": body["tools"][0]["name"], "arguments": '{"city": "Oslo"}'}
        item = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "status": "completed"}
        output.append({**item, **called})
    else:
        text = {"type": "output_text", "text": ANSWER, "annotations": [], "logprobs": []}
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
        output.append({**item, "content": [text]})
    answer = {
        "id": "resp_1",
        "object": "response",
        "created_at": 7,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "metadata": {},
        "model": body["model"],
        "output": output,
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": 11,
            "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 2},
            "total_tokens": 16,
        },
    }
    Response.model_validate(answer)
    return answer


def events(answer: Json) -> Iterator[Json]:
    """Yield the answer as the events of a stream, each valid by OpenAI's types."""
    for number, event in enumerate(_events(answer)):
        numbered = {**event, "sequence_number": number}
        _EVENT.validate_python(numbered)
        yield numbered


def _events(answer: Json) -> Iterator[Json]:
    begun = {**answer, "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(answer["output"]):
        where = {"output_index": index}
        opened = {**item, **_EMPTY[item["type"]]}
        yield {"type": "response.output_item.added", **where, "item": opened}
        yield from _PARTS[item["type"]](item, {**where, "item_id": item["id"]})
        yield {"type": "response.output_item.done", **where, "item": item}
    yield {"type": "response.completed", "response": answer}


def _message(item: Json, where: Json) -> Iterator[Json]:
    [part] = item["content"]
    place = {**where, "content_index": 0}
    yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
    for piece in _pieces(part["text"]):
        said = {"delta": piece, "logprobs": []}
        yield {"type": "response.output_text.delta", **place, **said}
    yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}


def _call(item: Json, where: Json) -> Iterator[Json]:
    for piece in _pieces(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", **where, "delta": piece}
    told = {"arguments": item["arguments"], "name": item["name"]}
    yield {"type": "response.function_call_arguments.done", **where, **told}


def _reasoning(item: Json, where: Json) -> Iterator[Json]:
    [part] = item["summary"]
    place = {**where, "summary_index": 0}
    kind = "response.reasoning_summary"
    yield {"type": f"{kind}_part.added", **place, "part": {**part, "text": ""}}
    for piece in _pieces(part["text"]):
        yield {"type": f"{kind}_text.delta", **place, "delta": piece}
    yield {"type": f"{kind}_text.done", **place, "text": part["text"]}
    yield {"type": f"{kind}_part.done", **place, "part": part}


_PARTS: dict[str, Callable[[Json, Json], Iterator[Json]]] = {
    "message": _message,
    "function_call": _call,
    "reasoning": _reasoning,
}
_EMPTY: dict[str, Json] = {
    "message": {"status": "in_progress", "content": []},
    "function_call": {"status": "in_progress", "arguments": ""},
    "reasoning": {"summary": []},
}


def frames(body: Json) -> Iterator[bytes]:
    """Yield the frames of a streamed answer, with what the question scripts."""
    asked = question(body)
    for number, event in enumerate(events(response(body))):
        if number == _BROKEN_AT and "broken stream" in asked:
            broken = {"type": "error", "code": "server_error", "message": "overloaded"}
            yield _sse({**broken, "param": None, "sequence_number": number})
            return
        if number == _BROKEN_AT and "cut" in asked:
            return
        yield _sse(event)


def add_responses(application: web.Application, seen: list[Seen], path: str) -> None:
    """Serve `POST path` beside what an application serves, and record its requests."""

    async def answered(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen.append(Seen(request.path, request.query_string, headers, body))
        try:
            known = {k: v for k, v in body.items() if k != "stream"}
            conform(known, ResponseCreateParamsBase)
        except Mismatch as error:
            return error_response(400, "invalid_request_error", str(error))
        if found := _ERROR.search(question(body)):
            return error_response(int(found[1]), "as_asked", "as you asked")
        if not body.get("stream"):
            return web.json_response(response(body))
        return await stream(request, frames(body))

    application.router.add_post(path, answered)


def _pieces(text: str) -> list[str]:
    return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]


def _sse(event: Json) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
