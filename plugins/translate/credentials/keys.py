"""API keys: in `Authorization`, in a header of the provider's own, or in the query."""

from __future__ import annotations

from urllib.parse import quote

from pipeline.api import Headers
from plugins.translate.credentials.contract import Credential, Signed, Unsigned

KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key", "authorization")
"""Headers that clients bring their keys in, the telling ones first."""

_BEARER = "bearer "


class KeyCredential:
    """A key that never expires.

    The client's own key takes its place where the request carries one for the backend.

    Args:
        key: the backend's key; empty where only clients bring theirs.
        header: lower-case name of the header that the provider wants; empty for the query.
        scheme: what stands before the key in the header, for instance `Bearer`.
        query: name of the parameter, for providers that want it in the query.
    """

    __slots__ = ("_header", "_key", "_query", "_scheme")

    def __init__(
        self, key: str, *, header: str = "authorization", scheme: str = "", query: str = ""
    ) -> None:
        self._key = key
        self._header = header
        self._scheme = scheme
        self._query = query

    @property
    def is_empty(self) -> bool:
        """Whether only clients bring a key."""
        return not self._key

    @property
    def names(self) -> frozenset[str]:
        """Every header that a client may bring a key in: none but the right one is sent."""
        return frozenset((*KEY_HEADERS, self._header)) - {""}

    @property
    def covers_body(self) -> bool:
        """Whether signing needs the body: a key never does."""
        return False

    async def start(self) -> None:
        """Do nothing: a key is there from the start."""

    async def close(self) -> None:
        """Do nothing."""

    def chosen(self, request: Unsigned) -> str:
        """Return the key that a request goes on with, empty where there is none."""
        return request.client_key or self._key

    def sign(self, request: Unsigned) -> Signed:
        """Put the key in its place; nothing where there is none."""
        key = self.chosen(request)
        if not key:
            return Signed()
        if self._query:
            return Signed(query=f"{quote(self._query, safe='')}={quote(key, safe='')}")
        return Signed({self._header: f"{self._scheme} {key}" if self._scheme else key})

    def __repr__(self) -> str:
        return f"KeyCredential({self._query or self._header})"


def bearer(key: str) -> KeyCredential:
    """Return the credential that most providers take: `Authorization: Bearer`."""
    return KeyCredential(key, header="authorization", scheme="Bearer")


def brought_key(headers: Headers, named: str = "") -> str:
    """Return the key that a client's request carries, empty where there is none.

    Args:
        headers: the request's.
        named: the only header to look into, where the backend names one.
    """
    for name in (named.lower(),) if named else KEY_HEADERS:
        value = headers.get(name).strip()
        if value[: len(_BEARER)].lower() == _BEARER:
            value = value[len(_BEARER) :].strip()
        elif name == "authorization" and not named:
            continue  # another scheme is no key: it belongs to whoever stands before us
        if value:
            return value
    return ""


_: Credential = KeyCredential("")
