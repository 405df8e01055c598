"""OpenAI's API, and servers that copy it, simulated: strict about what they are sent.

The last question's words script the answer: `tool`, `think`, `refuse`, `filter`, `long`, `search`;
`error 429` is an error before the answer, `html` an error page, `broken stream` an error inside it,
`cut` ends the stream early, `slow` waits before the first byte.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.completion import Completion
from openai.types.completion_create_params import CompletionCreateParamsBase as LegacyParams
from openai.types.embedding_create_params import EmbeddingCreateParams
from openai.types.responses.input_token_count_params import InputTokenCountParams

from tests.support.providers.typed import Mismatch, conform

Json = dict[str, Any]

COUNTED = 42
"""What every count of tokens says."""
ANSWER = "It is sunny, and the wind is calm."
THOUGHT = "Let me see. Sunny."
SLOW_S = 5.0

_ERROR = re.compile(r"error (\d{3})")
_MAX_STOP = 4


@dataclass(frozen=True)
class Seen:
    """One request that came in."""

    path: str
    query: str
    headers: dict[str, str]
    body: Json


def check_chat(body: Json, extra: frozenset[str] = frozenset()) -> None:
    """Refuse what OpenAI would refuse.

    Args:
        body: the request's.
        extra: fields that this server takes beyond OpenAI's.

    Raises:
        Mismatch: OpenAI would answer 400.
    """
    known = {k: v for k, v in body.items() if k not in extra and k != "stream"}
    conform(known, CompletionCreateParamsBase)
    if "stream_options" in body and not body.get("stream"):
        raise Mismatch("body.stream_options: only allowed when stream is enabled")
    if len(body.get("stop") or ()) > _MAX_STOP:
        raise Mismatch("body.stop: too long")
    if not body.get("tools") and {"tool_choice", "parallel_tool_calls"} & body.keys():
        raise Mismatch("body.tool_choice: only allowed when tools are specified")
    wanted = (body.get("response_format") or {}).get("type")
    if wanted == "json_object" and "json" not in json.dumps(body["messages"]).lower():
        raise Mismatch("body.messages: must contain the word 'json'")
    check_order(body["messages"])


def check_order(messages: list[Json]) -> None:
    """Refuse tools' results without their calls, and calls without results.

    Raises:
        Mismatch: one is missing.
    """
    waiting: set[str] = set()
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                raise Mismatch(f"body.messages[{index}].tool_call_id: there is no such call")
            waiting.discard(message["tool_call_id"])
            continue
        if waiting:
            raise Mismatch(f"body.messages[{index}]: a tool call has no result")
        waiting = {call["id"] for call in message.get("tool_calls") or ()}
    if waiting:
        raise Mismatch("body.messages: a tool call has no result")


def question(body: Json) -> str:
    """Return the last text that a user said."""
    for message in reversed(body.get("messages") or ()):
        content = message.get("content")
        if message["role"] == "user" and isinstance(content, str):
            return content
        if message["role"] == "user" and isinstance(content, list):
            texts = [part.get("text", "") for part in content if part.get("type") == "text"]
            return " ".join(texts)
    return ""


def chat_answer(body: Json, thinking: str = "reasoning_content") -> Json:
    """Return the whole answer, of the vendor's own types.

    Args:
        body: the request's.
        thinking: field of the message that has the thinking, where the question asks for some.
    """
    asked = question(body)
    message: Json = {"role": "assistant", "content": ANSWER, "refusal": None}
    reason = "stop"
    if "think" in asked:
        message[thinking] = THOUGHT
    if "tool" in asked and body.get("tools"):
        name = body["tools"][0]["function"]["name"]
        calls = [
            {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": text}}
            for n, text in enumerate(('{"city": "Oslo"}', '{"city": "Bergen"}'))
        ]
        message |= {"content": None, "tool_calls": calls}
        reason = "tool_calls"
    if "refuse" in asked:
        message |= {"content": None, "refusal": "I cannot help with that."}
    if "search" in asked:
        cited = {"url": "https://a.example", "title": "A", "start_index": 0, "end_index": 5}
        message["annotations"] = [{"type": "url_citation", "url_citation": cited}]
    reason = "length" if "long" in asked else "content_filter" if "filter" in asked else reason
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
        "usage": {
            "prompt_tokens": 11,
            "completion_tokens": 5,
            "total_tokens": 16,
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    }
    ChatCompletion.model_validate(answer)
    return answer


def chat_chunks(body: Json, thinking: str = "reasoning_content") -> Iterator[Json]:
    """Yield the chunks that `chat_answer` comes in when it is streamed."""
    answer = chat_answer(body, thinking)
    choice = answer["choices"][0]
    message = choice["message"]
    head = {k: answer[k] for k in ("id", "created", "model")}
    head["object"] = "chat.completion.chunk"

    def chunk(delta: Json, reason: str | None = None) -> Json:
        part = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        made = {**head, "choices": [part]}
        ChatCompletionChunk.model_validate(made)
        return made

    yield chunk({"role": "assistant", "content": ""})
    for field in (thinking, "content", "refusal"):
        for piece in re.findall(r"\S+\s*", message.get(field) or ""):
            yield chunk({field: piece})
    for index, call in enumerate(message.get("tool_calls") or ()):
        function = {"name": call["function"]["name"], "arguments": ""}
        yield chunk({"tool_calls": [{"index": index, **call, "function": function}]})
        for piece in re.findall(r".{1,4}", call["function"]["arguments"]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    rest = {"annotations": message["annotations"]} if message.get("annotations") else {}
    yield chunk(rest, choice["finish_reason"])
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**head, "choices": [], "usage": answer["usage"]}


def frames(body: Json, thinking: str = "reasoning_content") -> Iterator[bytes]:
    """Yield the frames of a streamed answer, with what the question scripts."""
    asked = question(body)
    for number, chunk in enumerate(chat_chunks(body, thinking)):
        if number == 3 and "broken stream" in asked:
            yield _sse({"error": {"message": "overloaded", "type": "server_error", "code": 503}})
            return
        if number == 3 and "cut" in asked:
            return
        yield _sse(chunk)
    yield b"data: [DONE]\n\n"


class Simulator:
    """One server.

    Args:
        key: the only key that it takes; empty for any.
        extra: fields of a chat that it takes beyond OpenAI's.
        thinking: its name of the thinking's field.
    """

    def __init__(
        self, key: str = "", extra: frozenset[str] = frozenset(), thinking: str = "reasoning"
    ) -> None:
        self.seen: list[Seen] = []
        self._key = key
        self._extra = extra
        self._thinking = thinking

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Answer a chat."""
        body = await self.body(request)
        if refused := self.refusal(request):
            return refused
        try:
            check_chat(body, self._extra)
        except Mismatch as error:
            return error_response(400, "invalid_request_error", str(error))
        asked = question(body)
        if found := _ERROR.search(asked):
            return error_response(int(found[1]), "as_asked", "as you asked")
        if "html" in asked:
            page = "<html>Bad gateway</html>"
            return web.Response(status=502, text=page, content_type="text/html")
        if "slow" in asked:
            await asyncio.sleep(SLOW_S)
        if not body.get("stream"):
            return web.json_response(chat_answer(body, self._thinking))
        return await stream(request, frames(body, self._thinking))

    async def completions(self, request: web.Request) -> web.StreamResponse:
        """Answer a legacy completion."""
        body = await self.body(request)
        try:
            conform({k: v for k, v in body.items() if k != "stream"}, LegacyParams)
        except Mismatch as error:
            return error_response(400, "invalid_request_error", str(error))
        choice = {"index": 0, "text": ANSWER, "logprobs": None, "finish_reason": "stop"}
        usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
        answer = {"id": "cmpl-1", "object": "text_completion", "created": 7, "model": body["model"]}
        whole = {**answer, "choices": [choice], "usage": usage}
        Completion.model_validate(whole)
        if not body.get("stream"):
            return web.json_response(whole)
        chunks = [
            {**answer, "choices": [{**choice, "text": piece, "finish_reason": None}]}
            for piece in re.findall(r"\S+\s*", ANSWER)
        ]
        last = {**answer, "choices": [{**choice, "text": ""}]}
        told = [{**answer, "choices": [], "usage": usage}] if body.get("stream_options") else []
        sent = [_sse(one) for one in [*chunks, last, *told]]
        return await stream(request, iter([*sent, b"data: [DONE]\n\n"]))

    async def embeddings(self, request: web.Request) -> web.Response:
        """Answer with vectors."""
        body = await self.body(request)
        try:
            conform(body, EmbeddingCreateParams)
        except Mismatch as error:
            return error_response(400, "invalid_request_error", str(error))
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        answer = {
            "object": "list",
            "model": body["model"],
            "data": [
                {"object": "embedding", "index": index, "embedding": [0.5, -0.25]}
                for index, _ in enumerate(texts)
            ],
            "usage": {"prompt_tokens": 2, "total_tokens": 2},
        }
        CreateEmbeddingResponse.model_validate(answer)
        return web.json_response(answer)

    async def input_tokens(self, request: web.Request) -> web.Response:
        """Count."""
        body = await self.body(request)
        try:
            conform(body, InputTokenCountParams)
        except Mismatch as error:
            return error_response(400, "invalid_request_error", str(error))
        return web.json_response({"object": "response.input_tokens", "input_tokens": COUNTED})

    async def tokenize(self, request: web.Request) -> web.Response:
        """Count as vLLM does."""
        body = await self.body(request)
        if ("prompt" in body) == ("messages" in body):
            return web.json_response({"detail": [{"loc": ["body"], "msg": "bad"}]}, status=422)
        answer = {"count": 3, "max_model_len": 4096, "tokens": [1, 2, 3], "token_strs": None}
        return web.json_response(answer)

    async def rerank(self, request: web.Request) -> web.Response:
        """Rank as vLLM does."""
        body = await self.body(request)
        if not all(isinstance(one, str) for one in body["documents"]):
            return web.json_response({"detail": "documents must be texts"}, status=422)
        count = min(body.get("top_n") or 10**6, len(body["documents"]))
        results = [
            {"index": n, "relevance_score": 1 / (n + 1), "document": {"text": body["documents"][n]}}
            for n in range(count)
        ]
        answer = {"id": "rerank-1", "model": body["model"], "usage": {"total_tokens": 9}}
        return web.json_response({**answer, "results": results})

    def refusal(self, request: web.Request) -> web.Response | None:
        """Return what a request with another key is answered, None for the right one."""
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._key and given != self._key:
            return error_response(401, "invalid_api_key", "Incorrect API key provided.")
        return None

    async def body(self, request: web.Request) -> Json:
        """Return the request's body, and remember the request."""
        body: Json = await request.json()
        headers = {name.lower(): value for name, value in request.headers.items()}
        copy = json.loads(json.dumps(body))
        self.seen.append(Seen(request.path, request.query_string, headers, copy))
        return body


def app(
    key: str = "", extra: frozenset[str] = frozenset(), thinking: str = "reasoning"
) -> tuple[web.Application, list[Seen]]:
    """Return the application and the list that it adds its requests to; see `Simulator`."""
    simulator = Simulator(key, extra, thinking)
    application = web.Application(client_max_size=64 * 2**20)
    application.add_routes(
        [
            web.post("/v1/chat/completions", simulator.chat),
            web.post("/v1/completions", simulator.completions),
            web.post("/v1/embeddings", simulator.embeddings),
            web.post("/v1/responses/input_tokens", simulator.input_tokens),
            web.post("/v1/rerank", simulator.rerank),
            web.post("/tokenize", simulator.tokenize),
        ]
    )
    return application, simulator.seen


async def stream(request: web.Request, sent: Iterator[bytes]) -> web.StreamResponse:
    """Answer with a stream of frames."""
    response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    for raw in sent:
        await response.write(raw)
    await response.write_eof()
    return response


def error_response(status: int, code: str, message: str) -> web.Response:
    """Return an error in OpenAI's shape."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return web.json_response({"error": error}, status=status)


def _sse(document: Json) -> bytes:
    return f"data: {json.dumps(document)}\n\n".encode()
