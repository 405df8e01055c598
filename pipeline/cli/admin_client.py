"""The admin server of the host that runs, as commands ask it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
from pydantic import SecretStr
from yarl import URL

from pipeline.api.admin import Document
from pipeline.errors import AdminError

# A supervisor may have to ask one worker after the other.
_PATIENCE_S = 30.0


class AdminClient:
    """Asks an instance of the host that runs; the `RunningHost` of plugins' commands.

    Args:
        address: of its admin server, or its URL.
        token: that it asks for; None where the config has none.
        instance: the plugin instance.
    """

    def __init__(self, address: str, token: SecretStr | None, instance: str) -> None:
        self._address = address
        self._token = token
        self._instance = instance

    def ask(
        self,
        method: str,
        path: str,
        document: Document | None = None,
        *,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Ask, and return the answer's document; see `RunningHost`."""
        if self._token is None:
            raise AdminError(
                "server.admin_token is not set: without a token a host does nothing for operators"
            )
        where = f"/plugins/{quote(self._instance, safe='')}/{quote(path)}"
        body = b"" if document is None else json.dumps(dict(document)).encode()
        token = self._token.get_secret_value()
        status, answer = asyncio.run(
            fetch(self._address, where, token, method=method, body=body, query=query)
        )
        try:
            found = json.loads(answer)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            # Anybody may listen there, and a host that is older has no such pages.
            raise AdminError(f"the host at {self._address} answers {status} with no JSON", status)
        if status >= 400:
            message = str(found.get("error") or f"the answer is {status}")
            raise AdminError(f"the host at {self._address}: {message}", status)
        return found


async def fetch(
    address: str,
    path: str,
    token: str,
    *,
    method: str = "GET",
    body: bytes = b"",
    query: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Ask an admin server, and return status and body.

    Args:
        address: `host:port`, or a URL.
        path: quoted.
        token: presented as a bearer token.
        method: upper-case.
        body: sent along.
        query: sent along.

    Raises:
        AdminError: none answers there.
    """
    base = address if "://" in address else f"http://{address}"
    url = URL(f"{base.rstrip('/')}{path}", encoded=True).update_query(query or {})
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PATIENCE_S)) as session,
            session.request(
                method,
                url,
                headers={"authorization": f"Bearer {token}"},
                data=body or None,
                allow_redirects=False,
            ) as answer,
        ):
            return answer.status, await answer.read()
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        reason = type(error).__name__
        raise AdminError(f"cannot read the host's admin server {address}: {reason}") from error
