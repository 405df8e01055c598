"""What signs a request: an API key, a token that is refreshed, or a signature over the request."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A request as it will be sent, but for its credential.

    Args:
        method: HTTP method.
        host: the authority that the backend sees, without a default port.
        path: path and query, as sent.
        headers: lower-case names to values that a signature must cover, content-type among them.
        body: the bytes.
        client_key: a credential that this request's client brought for the backend and that goes
            before the backend's own; empty where there is none, or the backend allows none.
    """

    method: str
    host: str
    path: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    client_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Signed:
    """What the credential adds.

    Args:
        headers: lower-case names to values.
        query: `name=value`, already encoded, to add to the path; for keys that go there.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: str = field(default="", repr=False)


class CredentialUnavailable(Exception):
    """Raised when no valid token can be had; the message names the source, never a secret."""


class Credential(Protocol):
    """Signs requests of one backend; refreshes what expires in the background."""

    @property
    def names(self) -> frozenset[str]:
        """Header names that it sets; the client's own values of them never reach the backend."""

    @property
    def covers_body(self) -> bool:
        """Whether `sign` needs the body, so that no call can pass without it."""

    async def start(self) -> None:
        """Get the first token and keep it fresh; a failure is no error until a request comes."""

    async def close(self) -> None:
        """Stop refreshing."""

    def sign(self, request: Unsigned) -> Signed | Awaitable[Signed]:
        """Sign one request; awaits only where there is no valid token yet.

        Raises:
            CredentialUnavailable: no token can be had in time.
        """
