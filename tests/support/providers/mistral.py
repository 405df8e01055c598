"""Mistral's API simulated: strict about what it is sent.

The last question's words script the answer as for OpenAI's: `tool`, `think`, `long`, `error 429`,
`html`, `broken stream`, `cut`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from aiohttp import web
from mistralai.client.models import (
    ChatCompletionRequestTypedDict,
    ChatCompletionResponse,
    CompletionChunk,
    EmbeddingRequestTypedDict,
    EmbeddingResponse,
    FIMCompletionRequestTypedDict,
)

from tests.support.providers.openai import ANSWER, THOUGHT, Seen, check_order, question, stream
from tests.support.providers.typed import Mismatch, conform

Json = dict[str, Any]

_ALIASES = {"schema_definition": "schema", "inputs": "input"}
_ERROR = re.compile(r"error (\d{3})")
_ID = re.compile(r"[a-zA-Z0-9]{9}")
_AFTER = {
    "system": {"system", "user", "assistant"},
    "user": {"system", "user", "assistant"},
    "assistant": {"user", "assistant", "tool"},
    "tool": {"assistant", "tool"},
}


def check_chat(body: Json) -> None:
    """Refuse what Mistral would refuse.

    Raises:
        Mismatch: Mistral would answer 400 or 422.
    """
    conform(body, ChatCompletionRequestTypedDict, "body", _ALIASES)
    messages = body["messages"]
    for index, message in enumerate(messages):
        at = f"body.messages[{index}]"
        if index and message["role"] not in _AFTER[messages[index - 1]["role"]]:
            raise Mismatch(f"{at}: unexpected role after the last one")
        ids = [call["id"] for call in message.get("tool_calls") or ()]
        ids += [message["tool_call_id"]] if message["role"] == "tool" else []
        if not all(_ID.fullmatch(one) for one in ids):
            raise Mismatch(f"{at}: tool call id must be a-z, A-Z, 0-9, with a length of 9")
        if message["role"] == "assistant" and not (
            message.get("content") or message.get("tool_calls")
        ):
            raise Mismatch(f"{at}: must have either content or tool_calls, but not none")
    if messages[-1]["role"] not in ("user", "tool") and not messages[-1].get("prefix"):
        raise Mismatch("body.messages: expected last role user or tool")
    check_order(messages)


def chat_answer(body: Json) -> Json:
    """Return the whole answer, of the vendor's own types."""
    asked = question(body)
    message: Json = {"role": "assistant", "content": ANSWER, "tool_calls": None}
    reason = "model_length" if "long" in asked else "error" if "fail" in asked else "stop"
    if "think" in asked:
        thought = {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}
        message["content"] = [thought, {"type": "text", "text": ANSWER}]
    if "tool" in asked and body.get("tools"):
        name = body["tools"][0]["function"]["name"]
        function = {"name": name, "arguments": '{"city": "Oslo"}'}
        message |= {"content": "", "tool_calls": [{"id": "aB3dE6gH9", "function": function}]}
        reason = "tool_calls"
    answer = {
        "id": "cmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16},
    }
    ChatCompletionResponse.model_validate(answer)
    return answer


def frames(body: Json) -> Iterator[bytes]:
    """Yield the frames of a streamed answer, with what the question scripts."""
    asked = question(body)
    for number, chunk in enumerate(_chunks(body)):
        if number == 3 and "broken stream" in asked:
            error = {"object": "error", "message": "overloaded", "type": "service_unavailable"}
            yield _sse(error)
            return
        if number == 3 and "cut" in asked:
            return
        CompletionChunk.model_validate(chunk)
        yield _sse(chunk)
    yield b"data: [DONE]\n\n"


def app(key: str = "") -> tuple[web.Application, list[Seen]]:
    """Return the application and the list that it adds its requests to.

    Args:
        key: the only key that it takes; empty for any.
    """
    seen: list[Seen] = []

    async def read(request: web.Request) -> Json:
        body: Json = await request.json()
        headers = {name.lower(): value for name, value in request.headers.items()}
        seen.append(Seen(request.path, request.query_string, headers, body))
        return body

    async def answered(request: web.Request) -> web.StreamResponse:
        body = await read(request)
        if key and request.headers.get("authorization") != f"Bearer {key}":
            return web.json_response({"detail": "Unauthorized"}, status=401)
        try:
            if request.path.endswith("/fim/completions"):
                conform(body, FIMCompletionRequestTypedDict)
            else:
                check_chat(body)
        except Mismatch as error:
            return _refused(str(error))
        if found := _ERROR.search(question(body)):
            return _error(int(found[1]), "as_asked")
        if "html" in question(body):
            return web.Response(status=502, text="<html></html>", content_type="text/html")
        if body.get("stream"):
            return await stream(request, frames(body))
        return web.json_response(chat_answer(body))

    async def embeddings(request: web.Request) -> web.Response:
        return _vectors(await read(request))

    application = web.Application(client_max_size=64 * 2**20)
    application.add_routes(
        [
            web.post("/v1/chat/completions", answered),
            web.post("/v1/fim/completions", answered),
            web.post("/v1/embeddings", embeddings),
        ]
    )
    return application, seen


def _vectors(body: Json) -> web.Response:
    try:
        conform(body, EmbeddingRequestTypedDict, "body", _ALIASES)
    except Mismatch as error:
        return _refused(str(error))
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    vectors = [
        {"object": "embedding", "index": index, "embedding": [0.5, -0.25]}
        for index, _ in enumerate(texts)
    ]
    usage = {"prompt_tokens": 2, "completion_tokens": 0, "total_tokens": 2}
    answer = {"id": "e-1", "object": "list", "model": body["model"], "data": vectors}
    EmbeddingResponse.model_validate({**answer, "usage": usage})
    return web.json_response({**answer, "usage": usage})


def _chunks(body: Json) -> Iterator[Json]:
    answer = chat_answer(body)
    message = answer["choices"][0]["message"]
    head = {k: answer[k] for k in ("id", "created", "model")}
    head["object"] = "chat.completion.chunk"

    def chunk(delta: Json, reason: str | None = None, **rest: Any) -> Json:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **rest}

    yield chunk({"role": "assistant", "content": ""})
    content = message["content"]
    if isinstance(content, list):
        for piece in re.findall(r"\S+\s*", THOUGHT):
            thought = {"type": "thinking", "thinking": [{"type": "text", "text": piece}]}
            yield chunk({"content": [thought]})
        content = ANSWER
    for piece in re.findall(r"\S+\s*", content):
        yield chunk({"content": piece})
    reason = answer["choices"][0]["finish_reason"]
    calls = message["tool_calls"]
    last = {"content": "", **({"tool_calls": calls} if calls else {})}
    yield chunk(last, reason, usage=answer["usage"])


def _refused(message: str) -> web.Response:
    detail = [{"type": "extra_forbidden", "loc": ["body"], "msg": message, "input": None}]
    document = {"object": "error", "message": {"detail": detail}, "type": "invalid_request_error"}
    return web.json_response({**document, "param": None, "code": None}, status=422)


def _error(status: int, kind: str) -> web.Response:
    document = {"object": "error", "message": "as you asked", "type": kind}
    body = {**document, "param": None, "code": "1300", "raw_status_code": status}
    return web.json_response(body, status=status)


def _sse(document: Json) -> bytes:
    return f"data: {json.dumps(document)}\n\n".encode()
