"""Cohere's API, simulated: strict about what it is sent.

The last question's words script the answer: `use a tool`, `empty`, `long`, `stop`; `error 429` is
an error before the answer, `broken stream` one inside it, `cut` ends the stream early, `html` is an
error page, `slow` waits before the first byte.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web
from cohere import EmbedByTypeResponse
from cohere.v2.types.v2rerank_response import V2RerankResponse

from tests.support.providers.cohere_answers import events, question, response
from tests.support.providers.cohere_rules import Refused, check_chat, check_embed, check_rerank
from tests.support.providers.seen import SLOW_S, Seen, Simulator, asked_error

Json = dict[str, Any]


class _Simulator(Simulator):
    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        if (refused := self._refused(request, body, check_chat)) is not None:
            return refused
        asked = question(body)
        if status := asked_error(asked):
            return _error(status, "as you asked")
        if "html" in asked:
            page = "<html>Bad gateway</html>"
            return web.Response(status=502, text=page, content_type="text/html")
        if "slow" in asked:
            await asyncio.sleep(SLOW_S)
        if not body["stream"]:
            return web.json_response(response(body))
        stream = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await stream.prepare(request)
        for raw in frames(body):
            await stream.write(raw)
        await stream.write_eof()
        return stream

    async def embed(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        refused = self._refused(request, body, check_embed)
        return refused or web.json_response(embeddings(body))

    async def rerank(self, request: web.Request) -> web.Response:
        body = await self._body(request)
        refused = self._refused(request, body, check_rerank)
        return refused or web.json_response(ranking(body))

    async def _body(self, request: web.Request) -> Json:
        body = await request.json()
        self.seen.append(Seen(request.path, dict(request.headers), body))
        return body

    def _refused(
        self, request: web.Request, body: Json, check: Callable[[Json], None]
    ) -> web.Response | None:
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.key and key != self.key:
            return _error(401, "invalid api token")
        try:
            check(body)
        except Refused as error:
            return _error(400, str(error))
        return None


def app(key: str = "") -> tuple[web.Application, list[Seen]]:
    """Return the application and the list that it adds its requests to.

    Args:
        key: the only key that it takes; empty for any.
    """
    simulator = _Simulator(key)
    application = web.Application(client_max_size=64 * 2**20)
    application.add_routes(
        [
            web.post("/v2/chat", simulator.chat),
            web.post("/v2/embed", simulator.embed),
            web.post("/v2/rerank", simulator.rerank),
        ]
    )
    return application, simulator.seen


def frames(body: Json) -> Iterator[bytes]:
    """Yield the frames of the stream that a valid body is answered with."""
    asked = question(body)
    for number, event in enumerate(events(response(body))):
        if number == 4 and "broken stream" in asked:
            ending = {"finish_reason": "ERROR", "error": "The model failed."}
            yield _sse({"type": "message-end", "delta": ending})
            return
        if number == 4 and "cut" in asked:
            return
        yield _sse(event)


def embeddings(body: Json) -> Json:
    """Return the answer of `POST /v2/embed`."""
    kind = body["embedding_types"][0]
    vector = [1, 2] if "int8" in kind else [0.1, 0.2]
    answer = {
        "id": "e-1",
        "embeddings": {kind: [vector for _ in body["texts"]]},
        "texts": body["texts"],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 3}},
        "response_type": "embeddings_by_type",
    }
    EmbedByTypeResponse.model_validate(answer)
    return answer


def ranking(body: Json) -> Json:
    """Return the answer of `POST /v2/rerank`."""
    places = list(reversed(range(len(body["documents"]))))[: body.get("top_n")]
    results = [{"index": place, "relevance_score": 0.9} for place in places]
    answer = {"id": "r-1", "results": results, "meta": {"billed_units": {"search_units": 1}}}
    V2RerankResponse.model_validate(answer)
    return answer


def _error(status: int, text: str) -> web.Response:
    return web.json_response({"id": "x", "message": text}, status=status)


def _sse(event: Json) -> bytes:
    data = json.dumps(event, ensure_ascii=False)
    return f"event: {event['type']}\ndata: {data}\n\n".encode()
