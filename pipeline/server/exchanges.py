"""What the admin server tells of one past exchange, to whoever has the token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from pipeline.server.bearer import Bearer

PATH = "/exchanges/{id}"
Find = Callable[[str], Awaitable[bytes | None]]


class Exchanges:
    """Serves `/exchanges/{id}`.

    Args:
        bearer: asks for the token.
        find: returns an exchange as JSON, None where nobody remembers it.
    """

    def __init__(self, bearer: Bearer, find: Find) -> None:
        self._bearer = bearer
        self._find = find

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        refusal = self._bearer.refusal(request)
        if refusal is not None:
            return refusal
        found = await self._find(request.match_info["id"])
        if found is None:
            return web.json_response({"error": "no such exchange is remembered"}, status=404)
        return web.Response(
            body=found, content_type="application/json", headers={"cache-control": "no-store"}
        )
