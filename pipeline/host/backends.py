"""Backends of the config, and the providers that pass a call through in its own format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipeline.api.call import Call
from pipeline.api.exchange import Request
from pipeline.api.headers import HeaderEdits
from pipeline.api.provider import Attempt, Backend, Provider
from pipeline.config.load import nearest
from pipeline.config.schema import Config
from pipeline.config.source import Source
from pipeline.errors import ConfigError, Problem
from pipeline.host.tenancy import CREDENTIAL_HEADERS


@dataclass(frozen=True, slots=True)
class PassThrough:
    """A provider whose own API the client speaks: only path, credential and model change.

    Args:
        default_url: base URL where the config names none.
        header: the header that carries the credential.
        scheme: what stands before the credential in it.
    """

    default_url: str
    header: str
    scheme: str = ""

    def reads_body(self, backend: Backend) -> bool:
        """Say whether a model is renamed."""
        return bool(backend.models)

    def prepare(self, backend: Backend, request: Request, call: Call | None) -> Attempt:
        """Set the path below the base URL, the credential, and the backend's model name."""
        edits = {":path": _path(backend, request)}
        remove: frozenset[str] = frozenset()
        if backend.api_key:
            edits[self.header] = self.scheme + backend.api_key
            # The client's own credential is for us, not for the provider.
            remove = CREDENTIAL_HEADERS - {self.header}
        renamed = call and backend.models.get(call.model)
        changed = call.replace(model=renamed) if call is not None and renamed else None
        return Attempt(HeaderEdits(set=edits, remove=remove), changed)


BUILT_IN: Mapping[str, Provider] = {
    "openai": PassThrough("https://api.openai.com/v1", "authorization", "Bearer "),
    "anthropic": PassThrough("https://api.anthropic.com/v1", "x-api-key"),
}


def make_backends(
    config: Config, source: Source, providers: Mapping[str, Provider]
) -> dict[str, Backend]:
    """Resolve every backend of the config.

    Raises:
        ConfigError: a provider is unknown, or has no URL of its own where the config names none.
    """
    backends: dict[str, Backend] = {}
    problems: list[Problem] = []
    for name, settings in config.backends.items():
        at = ("backends", name)
        provider = providers.get(settings.provider)
        if provider is None:
            hint = nearest(settings.provider, providers)
            message = f"there is no provider {settings.provider!r}{hint}"
            problems.append(source.problem((*at, "provider"), message))
            continue
        url = settings.url or provider.default_url
        if not url:
            message = f"provider {settings.provider!r} has no URL of its own: give one"
            problems.append(source.problem((*at, "url"), message))
            continue
        key = settings.api_key.get_secret_value() if settings.api_key is not None else ""
        backends[name] = Backend(name, settings.provider, urlsplit(url), key, settings.models)
    if problems:
        raise ConfigError(*problems)
    return backends


def _path(backend: Backend, request: Request) -> str:
    """Put the client's path below the base URL's, `/v1` counted once.

    `/v1/chat/completions` at `https://host/openai/v1` is `/openai/v1/chat/completions`; what a
    client puts before `/v1` (`/anthropic/v1/messages`) names the API, not a folder upstream.
    """
    before, version, rest = request.path.partition("/v1/")
    path = backend.url.path.rstrip("/") + ("/" + rest if version else before)
    return f"{path}?{request.query}" if request.query else path
