"""Azure OpenAI simulated: OpenAI behind Azure's paths, versions, keys and content filter."""

from __future__ import annotations

from aiohttp import web

from tests.support.providers.openai import Seen, Simulator, question

_VERSIONS = ("2024-10-21", "2025-04-01-preview")


class _Azure(Simulator):
    def refusal(self, request: web.Request) -> web.Response | None:
        headers = request.headers
        key = headers.get("api-key") or headers.get("authorization", "").removeprefix("Bearer ")
        if self._key and key != self._key:
            body = {"statusCode": 401, "message": "Access denied due to invalid subscription key."}
            return web.json_response({"error": {"code": "401", **body}}, status=401)
        is_dated = "/deployments/" in request.path
        if is_dated and request.query.get("api-version") not in _VERSIONS:
            error = {"code": "404", "message": "Resource not found"}
            return web.json_response({"error": error}, status=404)
        if "jailbreak" in question(self.seen[-1].body):
            return web.json_response(_FILTERED, status=400)
        return None


_FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"jailbreak": {"filtered": True, "detected": True}},
        },
    }
}


def app(key: str = "") -> tuple[web.Application, list[Seen]]:
    """Return the application and the list that it adds its requests to.

    Args:
        key: the only key or token that it takes; empty for any.
    """
    simulator = _Azure(key, thinking="reasoning_content")
    application = web.Application()
    for base in ("/openai/v1", "/openai/deployments/{deployment}"):
        application.add_routes(
            [
                web.post(base + "/chat/completions", simulator.chat),
                web.post(base + "/completions", simulator.completions),
                web.post(base + "/embeddings", simulator.embeddings),
            ]
        )
    application.add_routes([web.post("/openai/v1/responses/input_tokens", simulator.input_tokens)])
    return application, simulator.seen
