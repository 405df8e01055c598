"""The bearer token of the admin server."""

from __future__ import annotations

import hmac

from aiohttp import web
from pydantic import SecretStr


class Bearer:
    """Asks callers for a token.

    Args:
        token: what they must present.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    @property
    def token(self) -> str:
        """What callers must present."""
        return self._token.decode()

    def follow(self, secret: SecretStr | None) -> None:
        """Ask callers for the token of another config from now on; every config has one."""
        if secret is not None:
            self._token = secret.get_secret_value().encode()

    def refusal(self, request: web.Request) -> web.Response | None:
        """Return what to answer a caller without the token; None for one who has it."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        presented = given.strip().encode("utf-8", "surrogateescape")
        # In the same time whatever is wrong with it.
        is_right = hmac.compare_digest(presented, self._token)
        if scheme.lower() == "bearer" and is_right:
            return None
        return web.json_response(
            {"error": "a bearer token is needed"},
            status=401,
            headers={"www-authenticate": "Bearer"},
        )


def make_bearer(secret: SecretStr | None) -> Bearer | None:
    """Return who asks for a config's token; None where it has none."""
    return Bearer(secret.get_secret_value()) if secret is not None else None
