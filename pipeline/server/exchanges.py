"""What the admin server tells of one past exchange, to whoever has the token."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

from aiohttp import web

PATH = "/exchanges/{id}"
Find = Callable[[str], Awaitable[bytes | None]]


class Exchanges:
    """Serves `/exchanges/{id}`.

    Args:
        token: what a caller must present as a bearer token.
        find: returns an exchange as JSON, None where nobody remembers it.
    """

    def __init__(self, token: str, find: Find) -> None:
        self._find = find
        self.set_token(token)

    def set_token(self, token: str) -> None:
        """Ask callers for another token from now on."""
        self._token = token.encode()

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        presented = given.strip().encode("utf-8", "surrogateescape")
        # In the same time whatever is wrong with it.
        is_right = hmac.compare_digest(presented, self._token)
        if scheme.lower() != "bearer" or not is_right:
            return web.json_response(
                {"error": "a bearer token is needed"},
                status=401,
                headers={"www-authenticate": "Bearer"},
            )
        found = await self._find(request.match_info["id"])
        if found is None:
            return web.json_response({"error": "no such exchange is remembered"}, status=404)
        return web.Response(
            body=found, content_type="application/json", headers={"cache-control": "no-store"}
        )
