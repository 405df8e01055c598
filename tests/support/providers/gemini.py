"""Gemini at AI Studio and on Vertex AI, simulated: strict about what they are sent.

The last question's words script the answer: `tool`, `empty`, `named`, `refuse`, `recite`, `long`,
`malformed`, `block`; `error 429` is an error before the answer, `broken stream` one inside it,
`cut` ends the stream early, `html` is an error page, `slow` waits before the first byte.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from tests.support.providers.gemini_answers import events, question, response
from tests.support.providers.gemini_rules import Refused, check, check_embedding
from tests.support.providers.seen import SLOW_S, Seen, Simulator, asked_error

Json = dict[str, Any]

COUNTED = 42
"""What every count of tokens says."""

_STATUS = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE"}


class _Simulator(Simulator):
    async def studio(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("x-goog-api-key") or request.query.get("key")
        return await self._call(request, is_vertex=False, key=key)

    async def vertex(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        key = key or request.headers.get("x-goog-api-key")
        return await self._call(request, is_vertex=True, key=key)

    async def _call(
        self, request: web.Request, *, is_vertex: bool, key: str | None
    ) -> web.StreamResponse:
        body = await request.json()
        self.seen.append(Seen(request.path_qs, dict(request.headers), body))
        if self.key and key != self.key:
            return error(400, "API key not valid.", reason="API_KEY_INVALID")
        model, _, verb = request.match_info["call"].partition(":")
        try:
            return await self._answer(request, body, model, verb, is_vertex=is_vertex)
        except Refused as refused:
            return error(400, str(refused))

    async def _answer(
        self, request: web.Request, body: Json, model: str, verb: str, *, is_vertex: bool
    ) -> web.StreamResponse:
        if verb == "countTokens":
            counted = body if is_vertex else body["generateContentRequest"]
            if not is_vertex and counted.get("model") != f"models/{model}":
                raise Refused("generateContentRequest.model is required")
            check(counted, model=model, is_vertex=is_vertex, counts=True)
            return web.json_response({"totalTokens": COUNTED})
        if verb not in ("generateContent", "streamGenerateContent"):
            return web.json_response(embeddings(body, verb))
        check(body, model=model, is_vertex=is_vertex)
        asked = question(body)
        if status := asked_error(asked):
            return error(status, "as you asked", delay="7s")
        if "html" in asked:
            page = "<html>Bad gateway</html>"
            return web.Response(status=502, text=page, content_type="text/html")
        if "slow" in asked:
            await asyncio.sleep(SLOW_S)
        if verb == "generateContent":
            return web.json_response(response(body, model))
        if request.query.get("alt") != "sse":
            raise Refused("this simulator streams as SSE only")
        stream = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await stream.prepare(request)
        for raw in frames(body, model):
            await stream.write(raw)
        await stream.write_eof()
        return stream


def app(key: str = "") -> tuple[web.Application, list[Seen]]:
    """Return the application and the list that it adds its requests to.

    Args:
        key: the only key or token that it takes; empty for any.
    """
    simulator = _Simulator(key)
    application = web.Application(client_max_size=64 * 2**20)
    vertex = "/v1/projects/{p}/locations/{l}/publishers/google/models/{call:.+}"
    application.add_routes(
        [
            web.post("/v1beta/models/{call:.+}", simulator.studio),
            web.post(vertex, simulator.vertex),
            web.post("/v1/publishers/google/models/{call:.+}", simulator.vertex),
        ]
    )
    return application, simulator.seen


def frames(body: Json, model: str) -> Iterator[bytes]:
    """Yield the frames of the stream that a valid body is answered with."""
    asked = question(body)
    for number, event in enumerate(events(response(body, model))):
        if number == 3 and "broken stream" in asked:
            broken = {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}
            yield _sse({"error": broken})
            return
        if number == 3 and "cut" in asked:
            return
        yield _sse(event)


def embeddings(body: Json, verb: str) -> Json:
    """Return the answer of an endpoint for embeddings."""
    vector = [0.1, 0.2]
    if verb == "predict":
        statistics = {"truncated": False, "token_count": 3}
        one = {"embeddings": {"values": vector, "statistics": statistics}}
        return {"predictions": [one for _ in body["instances"]]}
    check_embedding(body)
    if verb == "embedContent":
        return {"embedding": {"values": vector}, "usageMetadata": {"promptTokenCount": 3}}
    return {"embeddings": [{"values": vector} for _ in body["requests"]]}


def error(status: int, text: str, *, delay: str = "", reason: str = "") -> web.Response:
    """Return an error as Google's APIs do."""
    details: list[Json] = []
    if delay:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        details.append({"@type": kind, "retryDelay": delay})
    if reason:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        details.append({"@type": kind, "reason": reason})
    told = {"code": status, "message": text, "status": _STATUS.get(status, "INTERNAL")}
    return web.json_response({"error": {**told, "details": details}}, status=status)


def _sse(event: Json) -> bytes:
    return f"data: {json.dumps(event, ensure_ascii=False)}\r\n\r\n".encode()
