"""Providers: upstream API formats with their credentials, and the backends that use them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from urllib.parse import SplitResult

from pipeline.api.call import Call
from pipeline.api.exchange import Request
from pipeline.api.headers import NO_EDITS, HeaderEdits, Headers
from pipeline.api.plugin import PluginConfig


@dataclass(frozen=True, slots=True)
class Backend:
    """A configured provider endpoint.

    Args:
        name: its key in the config.
        provider: name of its provider.
        url: base URL; what the client's path adds to it is the provider's business.
        api_key: the credential, or an empty string to pass the client's own through.
        models: model asked for to model of this backend; a name that is absent stays.
        strict: whether a call that the provider cannot carry whole is refused.
        headers: edits to what the backend is sent, after the provider's own.
        patch: returns a changed request document; None changes nothing.
        key_header: header in which a client may bring its own key for this backend; it never goes
            on under that name. Empty where none may.
        host: the `host` header that it is sent; empty for the URL's host.
        options: the provider's own options, an instance of its `Options`.
        beside: providers of the backends that its routes try beside it: earlier turns of a
            conversation may be theirs, with what only they can read.
    """

    name: str
    provider: str
    url: SplitResult
    api_key: str = field(default="", repr=False)
    models: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False
    headers: HeaderEdits = NO_EDITS
    patch: Callable[[dict[str, Any]], dict[str, Any]] | None = field(default=None, repr=False)
    key_header: str = ""
    host: str = ""
    options: PluginConfig = field(default_factory=PluginConfig, repr=False)
    beside: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Begun:
    """How a response goes on, decided from its headers.

    Args:
        status: another status for the client; None keeps it. One that Envoy retries must stay one.
        headers: edits to the response's headers; content-length and -encoding are the host's.
        body: `keep` leaves the body as it is; `whole` asks for `Translation.whole`, `stream` for
            `feed` and `end`.
    """

    status: int | None = None
    headers: HeaderEdits = NO_EDITS
    body: Literal["keep", "whole", "stream"] = "keep"


@dataclass(frozen=True, slots=True)
class Translated:
    """A whole body for the client.

    Args:
        body: the bytes.
        status: another status; None keeps it.
        headers: further edits to the response's headers.
    """

    body: bytes = field(repr=False)
    status: int | None = None
    headers: HeaderEdits = NO_EDITS


class Translation(Protocol):
    """Turns one response of a provider into the client's format; made per attempt.

    Bodies come without their content-encoding. None of its methods raises for anything that a
    provider may send: what is no answer becomes an error in the client's format.
    """

    def begin(self, status: int, headers: Headers) -> Begun:
        """See the response's status and headers."""

    def whole(self, body: bytes) -> Translated:
        """Turn a whole body into the client's."""

    def feed(self, data: bytes) -> bytes:
        """Take a piece of a stream, cut anywhere, and return what the client gets for it."""

    def end(self) -> bytes:
        """Return what is left when the stream ends, an error's event if it ended too early."""

    def fault(self, *, status: int, code: str, message: str) -> bytes:
        """Return what ends a stream that the host must cut (an event too long, a bomb)."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt sends to its backend.

    Envoy shows the next attempt the headers as this one left them, but for `:path` and
    `content-encoding`, which the host restores: set the same names at every attempt.

    Args:
        headers: edits to the client's request, `:path` among them.
        body: the new body, or None when the client's goes as it is.
        dropped: dotted names of the call's fields that the provider cannot carry.
        translation: for the response; None when the client gets it as it comes.
    """

    headers: HeaderEdits
    body: bytes | None = field(default=None, repr=False)
    dropped: tuple[str, ...] = ()
    translation: Translation | None = None


class Connection(Protocol):
    """One backend as a process holds it; nothing of an exchange stays in it."""

    async def start(self) -> None:
        """Get what requests need (tokens); a failure is no error until a request needs it."""

    async def close(self) -> None:
        """Release it."""

    @property
    def passes_credentials(self) -> bool:
        """Whether a client's own credential goes on to the backend, for want of another.

        Such a backend must not be tried after one with a key: Envoy would show it that key.
        """

    def passes(self, dialect: str | None) -> bool:
        """Say whether calls of a dialect go on as they are, and so do their answers.

        Then headers alone prepare an attempt. None stands for what is no LLM call.
        """

    def keeps_answers(self, dialect: str | None) -> bool:
        """Say whether the answers to calls of a dialect go back as they come.

        Then no attempt has a `translation`, and Envoy shows no answer at this level. It holds
        wherever `passes` does; where it holds alone, calls change and answers do not.
        """

    def prepare(self, request: Request, call: Call | None) -> Attempt | Awaitable[Attempt]:
        """Turn the client's request into what the backend is sent.

        Args:
            request: as the router level let it go on.
            call: None where `passes`, and for what is no LLM call.

        Raises:
            InvalidCall: the call cannot be carried; the client's own error format tells.
        """


class Provider(Protocol):
    """An upstream API format."""

    @property
    def Options(self) -> type[PluginConfig]:  # noqa: N802 - a class, as a plugin's `Config`
        """Model of the keys that its backends take beside the common ones."""

    def default_url(self, options: PluginConfig) -> str:
        """Return the base URL where the config names none; empty when it must."""

    def connect(self, backend: Backend) -> Connection:
        """Return the connection of a backend.

        Raises:
            ValueError: its options make no sense together; the message becomes the config error.
        """
