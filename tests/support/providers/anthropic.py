"""Anthropic's API, and Claude on Vertex AI and Bedrock, simulated: strict about what they are sent.

The last question's words script the answer: `tool`, `search`, `redacted`, `refuse`, `pause`,
`long`, `stop`; `error 529` is an error before the answer, `broken stream` one inside it, `cut`
ends the stream early, `html` is an error page, `slow` waits before the first byte.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from tests.support.providers import aws_frames
from tests.support.providers.anthropic_answers import events, message, question
from tests.support.providers.anthropic_rules import Refused, check
from tests.support.providers.seen import SLOW_S, Seen, Simulator, asked_error

Json = dict[str, Any]

VERTEX_VERSION = "vertex-2023-10-16"
BEDROCK_VERSION = "bedrock-2023-05-31"
COUNTED = 42
"""What every count of tokens says."""

_TYPES = {429: "rate_limit_error", 500: "api_error", 503: "api_error", 529: "overloaded_error"}


class _Simulator(Simulator):
    async def anthropic(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        key = request.headers.get("x-api-key")
        key = key or request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.key and key != self.key:
            return _error(401, "authentication_error", "invalid x-api-key")
        version = request.headers.get("anthropic-version", "")
        if version not in ("2023-06-01", "2026-10-21"):
            return _error(400, "invalid_request_error", "anthropic-version: header is required")
        counts = request.path.endswith("count_tokens")
        return await self._answer(request, body, counts=counts, version=version)

    async def vertex(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        model, _, verb = request.match_info["call"].partition(":")
        if body.pop("anthropic_version", "") != VERTEX_VERSION:
            return _error(400, "invalid_request_error", "anthropic_version: field required")
        counts = model == "count-tokens"
        if (not counts and "model" in body) or verb not in ("rawPredict", "streamRawPredict"):
            return _error(400, "invalid_request_error", "model: Extra inputs are not permitted")
        if (verb == "streamRawPredict") != (body.get("stream") is True):
            return _error(400, "invalid_request_error", "stream: another verb")
        body.setdefault("model", model)
        return await self._answer(request, body, counts=counts, urls=False)

    async def bedrock(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        verb = request.match_info["verb"]
        counts = verb == "count-tokens"
        if counts:
            body = json.loads(base64.b64decode(body["input"]["invokeModel"]["body"], validate=True))
        if body.pop("anthropic_version", "") != BEDROCK_VERSION:
            return _aws_error(400, "ValidationException", "anthropic_version: Field required")
        if {"model", "stream"} & body.keys() or not isinstance(
            body.pop("anthropic_beta", []), list
        ):
            return _aws_error(400, "ValidationException", "model: Extra inputs are not permitted")
        body["model"] = request.match_info["model"]
        if verb == "invoke-with-response-stream":
            body["stream"] = True
        return await self._answer(request, body, counts=counts, urls=False, aws=True)

    async def _body(self, request: web.Request) -> Json:
        body = await request.json()
        self.seen.append(Seen(request.path, dict(request.headers), json.loads(json.dumps(body))))
        return body

    async def _answer(
        self,
        request: web.Request,
        body: Json,
        *,
        counts: bool,
        urls: bool = True,
        version: str = "",
        aws: bool = False,
    ) -> web.StreamResponse:
        refuse = _aws_error if aws else _error
        try:
            check(body, counts=counts and not aws, urls=urls, version=version)
        except (Refused, binascii.Error) as error:
            kind = "ValidationException" if aws else "invalid_request_error"
            return refuse(400, kind, str(error))
        if counts:
            return web.json_response({"inputTokens" if aws else "input_tokens": COUNTED})
        asked = question(body)
        if status := asked_error(asked):
            kind = "ThrottlingException" if aws else _TYPES.get(status, "api_error")
            return refuse(status, kind, "as you asked")
        if "html" in asked:
            return web.Response(
                status=502, text="<html>Bad gateway</html>", content_type="text/html"
            )
        if "slow" in asked:
            await asyncio.sleep(SLOW_S)
        if not body.get("stream"):
            return web.json_response(message(body))
        return await _stream(request, body, aws=aws)


def app(key: str = "") -> tuple[web.Application, list[Seen]]:
    """Return the application and the list that it adds its requests to.

    Args:
        key: the only key that Anthropic's own paths take; empty for any.
    """
    simulator = _Simulator(key)
    application = web.Application(client_max_size=64 * 2**20)
    vertex = "/v1/projects/{p}/locations/{l}/publishers/anthropic/models/{call:.+}"
    verbs = "{verb:invoke|invoke-with-response-stream|count-tokens}"
    application.add_routes(
        [
            web.post("/v1/messages", simulator.anthropic),
            web.post("/v1/messages/count_tokens", simulator.anthropic),
            web.post(vertex, simulator.vertex),
            web.post("/model/{model}/" + verbs, simulator.bedrock),
        ]
    )
    return application, simulator.seen


async def _stream(request: web.Request, body: Json, *, aws: bool) -> web.StreamResponse:
    kind = "application/vnd.amazon.eventstream" if aws else "text/event-stream"
    response = web.StreamResponse(headers={"content-type": kind})
    await response.prepare(request)
    for raw in frames(body, aws=aws):
        await response.write(raw)
    await response.write_eof()
    return response


def frames(body: Json, *, aws: bool = False) -> Iterator[bytes]:
    """Yield the frames of the stream that a valid body is answered with."""
    asked = question(body)
    for number, event in enumerate(events(message(body))):
        if number == 4 and "broken stream" in asked:
            yield _broken(aws=aws)
            return
        if number == 4 and "cut" in asked:
            return
        if aws:
            packed = base64.b64encode(json.dumps(event).encode()).decode()
            yield aws_frames.event("chunk", {"bytes": packed, "p": "abcdef"})
        else:
            yield _sse(event)


def _broken(*, aws: bool) -> bytes:
    if aws:
        return aws_frames.exception("throttlingException", "too many")
    return _sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})


def _sse(event: Json) -> bytes:
    data = json.dumps(event, ensure_ascii=False)
    return f"event: {event['type']}\ndata: {data}\n\n".encode()


def _error(status: int, kind: str, text: str) -> web.Response:
    error = {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_1"}
    return web.json_response(error, status=status)


def _aws_error(status: int, kind: str, text: str) -> web.Response:
    headers = {"x-amzn-errortype": f"{kind}:http://internal.amazon.com/"}
    return web.json_response({"message": text}, status=status, headers=headers)
