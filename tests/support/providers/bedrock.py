"""Amazon Bedrock's runtime, simulated: Converse, CountTokens, embeddings and reranking.

It recomputes every SigV4 signature, holds requests against botocore's model of the service and
AWS's documented rules, and answers by the last question's words: `think`, `redacted`, `tool`,
`twice`, `empty`, `cite`, `cached`, `count parts`, `guardrail`, `filtered`, `too long`, `stop here`,
`context`; `error 429` is an error before the answer, `exception throttlingException` one inside a
stream, `cut` ends a stream early, `html` is an error page.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web
from botocore.credentials import ReadOnlyCredentials

from tests.support.providers import bedrock_answers
from tests.support.providers.bedrock_rules import Refused, check, check_signature
from tests.support.providers.seen import Seen, asked_error

Json = dict[str, Any]

KEYS = ReadOnlyCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG", "a-session-token")
REGION = "us-west-2"

_ERRORS = {
    400: "ValidationException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}


class _Simulator:
    def __init__(self, keys: ReadOnlyCredentials, region: str, bearer: str) -> None:
        self.keys = keys
        self.region = region
        self.bearer = bearer
        self.seen: list[Seen] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except Refused as error:
            return _error(error.status, error.code, str(error))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self._authorise(request, headers, raw)
        document = json.loads(raw)
        path = request.raw_path
        self.seen.append(Seen(path, headers, document))
        params = check(path, document)
        model, verb = params["modelId"], path.rpartition("/")[2]
        if verb == "count-tokens":
            return web.json_response({"inputTokens": bedrock_answers.COUNTED})
        if verb == "invoke":
            texts = document.get("texts") or [document.get("inputText") or ""]
            tokens = sum(len(text.split()) for text in texts)
            return web.json_response(
                bedrock_answers.model_answer(model, document),
                headers={"x-amzn-bedrock-input-token-count": str(tokens)},
            )
        asked = bedrock_answers.question(params)
        if status := asked_error(asked):
            return _error(status, _ERRORS[status], "as you asked")
        if "html" in asked:
            page = "<html>Bad gateway</html>"
            return web.Response(status=502, text=page, content_type="text/html")
        if verb == "converse":
            return web.json_response(bedrock_answers.answer(params))
        return await self._stream(request, params)

    def _authorise(self, request: web.Request, headers: dict[str, str], raw: bytes) -> None:
        given = headers.get("authorization", "")
        if given.startswith("Bearer "):
            if not self.bearer or given != f"Bearer {self.bearer}":
                raise Refused("Bearer token is invalid", "AccessDeniedException", 403)
            return
        check_signature(
            self.keys,
            region=self.region,
            method=request.method,
            path=request.raw_path,
            headers=headers,
            body=raw,
        )

    async def _stream(self, request: web.Request, params: Json) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"content-type": "application/vnd.amazon.eventstream"}
        )
        await response.prepare(request)
        for frame in bedrock_answers.frames(params):
            await response.write(frame)
            await asyncio.sleep(0)
        await response.write_eof()
        return response


def app(
    keys: ReadOnlyCredentials = KEYS, region: str = REGION, bearer: str = ""
) -> tuple[web.Application, list[Seen]]:
    """Return the application, and the list that its requests go to.

    Args:
        keys: the keys that may sign.
        region: the service's region.
        bearer: a Bedrock API key that may come instead of a signature.
    """
    simulator = _Simulator(keys, region, bearer)
    made = web.Application(client_max_size=64 * 2**20)
    made.router.add_route("POST", "/{path:.*}", simulator.handle)
    return made, simulator.seen


def _error(status: int, code: str, message: str) -> web.Response:
    headers = {"x-amzn-errortype": f"{code}:http://internal.amazon.com/coral/"}
    return web.json_response({"message": message}, status=status, headers=headers)
