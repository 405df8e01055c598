"""Providers: upstream API formats with their credentials, and the backends that use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import SplitResult

from pipeline.api.call import Call
from pipeline.api.exchange import Request
from pipeline.api.headers import HeaderEdits


@dataclass(frozen=True, slots=True)
class Backend:
    """A configured provider endpoint.

    Args:
        name: its key in the config.
        provider: name of its provider.
        url: base URL; what the client's path adds to it is the provider's business.
        api_key: the credential, or an empty string to pass the client's own through.
        models: model asked for to model of this backend; a name that is absent stays.
    """

    name: str
    provider: str
    url: SplitResult
    api_key: str = field(default="", repr=False)
    models: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt sends to its backend.

    Envoy shows the next attempt the headers as this one left them, but for `:path` and
    `content-encoding`, which the host restores: set the same names at every attempt.

    Args:
        headers: edits to the client's request, `:path` among them.
        call: the new call, or None when the body goes as it is.
    """

    headers: HeaderEdits
    call: Call | None = None


class Provider(Protocol):
    """An upstream API format; pure, so any worker may serve any attempt."""

    @property
    def default_url(self) -> str:
        """Base URL where the config names none; empty when it must."""

    def reads_body(self, backend: Backend) -> bool:
        """Say whether attempts at this backend need the call, or headers alone will do."""

    def prepare(self, backend: Backend, request: Request, call: Call | None) -> Attempt:
        """Turn the client's request into what the backend is sent."""
