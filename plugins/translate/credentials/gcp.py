"""Google Cloud: OAuth tokens from wherever google-auth finds them, or an express-mode API key."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Awaitable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, model_validator

from pipeline.api import Backend, PluginConfig
from plugins.translate.credentials.contract import (
    Credential,
    CredentialUnavailable,
    Signed,
    Unsigned,
)
from plugins.translate.credentials.keys import KEY_HEADERS, KeyCredential
from plugins.translate.credentials.refreshing import RefreshingToken

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_KEY_HEADER = "x-goog-api-key"
_PROJECT_HEADER = "x-goog-user-project"
_KEY_STARTS = ("AIza", "AQ.")
_LONGEST_WAIT_S = 5.0  # of a request, while there is no valid token
_FETCH_TIMEOUT_S = 10.0
_DEFAULT_LIFE_S = 3600.0
# Modules of google-auth load slowly, and have few types: they are imported by name, when needed.
_MAKERS = {
    "service_account": (
        "google.oauth2.service_account",
        "Credentials",
        "from_service_account_info",
    ),
    "authorized_user": ("google.oauth2.credentials", "Credentials", "from_authorized_user_info"),
    "external_account": ("google.auth.identity_pool", "Credentials", "from_info"),
    "external_account/aws": ("google.auth.aws", "Credentials", "from_info"),
    "impersonated_service_account": (
        "google.auth.impersonated_credentials",
        "Credentials",
        "from_impersonated_service_account_info",
    ),
}


class GcpOptions(PluginConfig):
    """Where a backend's Google Cloud credentials come from; application default unless said."""

    project: str = Field(default="", description="Google Cloud project.")
    location: str = Field(
        default="global", description="Region (`us-east5`), multi-region (`us`, `eu`) or `global`."
    )
    service_account: SecretStr | None = Field(
        default=None,
        description="Key of a service account as JSON: `${ENV}` or `file:/path`.",
    )
    credentials_file: str = Field(
        default="",
        description="File with credentials: a service account's key, workload identity "
        "federation, or a user's; read anew for each token.",
    )
    impersonate: str = Field(
        default="", description="E-mail of the service account to act as with these credentials."
    )
    quota_project: str = Field(
        default="", description="Project that quota and costs go to, if not the credentials' own."
    )

    @model_validator(mode="after")
    def _one_source(self) -> GcpOptions:
        if self.service_account is not None and self.credentials_file:
            raise ValueError("give `service_account` or `credentials_file`, not both")
        return self


class GcpCredential:
    """Signs with an OAuth token that is kept fresh.

    Args:
        token: the token.
        quota_project: project to count calls to; empty for the credentials' own.
    """

    covers_body = False
    names = frozenset((*KEY_HEADERS, _PROJECT_HEADER))

    def __init__(
        self,
        token: RefreshingToken[str],
        *,
        quota_project: str = "",
    ) -> None:
        self._token = token
        self._project = {_PROJECT_HEADER: quota_project} if quota_project else {}

    async def start(self) -> None:
        """Get the first token and keep it fresh."""
        await self._token.start()

    async def close(self) -> None:
        """Stop refreshing."""
        await self._token.close()

    def sign(self, request: Unsigned) -> Signed | Awaitable[Signed]:
        """Add the token; awaits only where there is no valid one yet."""
        if request.client_key:
            if request.client_key.startswith(_KEY_STARTS):
                return Signed({_KEY_HEADER: request.client_key, **self._project})
            return self._signed(request.client_key)
        token = self._token.current()
        return self._sign_later() if token is None else self._signed(token)

    async def _sign_later(self) -> Signed:
        return self._signed(await self._token.get(_LONGEST_WAIT_S))

    def _signed(self, token: str) -> Signed:
        return Signed({"authorization": f"Bearer {token}", **self._project})

    def __repr__(self) -> str:
        return f"GcpCredential({self._token!r})"


def gcp_credential(backend: Backend) -> Credential:
    """Return the credential of a backend: its API key if it has one, else an OAuth token.

    Raises:
        ValueError: the service account is no JSON object.
    """
    options = backend.options
    assert isinstance(options, GcpOptions)  # noqa: S101 - made from a spec's options
    if backend.api_key:
        return KeyCredential(backend.api_key, header=_KEY_HEADER)
    info = _service_account(options)
    token = RefreshingToken(
        functools.partial(_fetch, options, info),
        source=_source(options),
        fetch_timeout_s=3 * _FETCH_TIMEOUT_S,
    )
    return GcpCredential(
        token,
        quota_project=options.quota_project,
    )


def _service_account(options: GcpOptions) -> dict[str, Any] | None:
    if options.service_account is None:
        return None
    try:
        info = dict(json.loads(options.service_account.get_secret_value()))
    except (ValueError, TypeError):
        message = "`service_account` is no JSON object; give its key file as `file:/path`"
        raise ValueError(message) from None
    return info


def _source(options: GcpOptions) -> str:
    source = "Google application default credentials"
    if options.service_account is not None:
        source = "Google service account"
    elif options.credentials_file:
        source = f"Google credentials file {options.credentials_file}"
    return f"{source}, as {options.impersonate}" if options.impersonate else source


async def _fetch(options: GcpOptions, info: dict[str, Any] | None) -> tuple[str, float]:
    # google-auth waits for the network; a thread of its own keeps it off the event loop.
    return await asyncio.to_thread(_refreshed, options, info)


def _refreshed(options: GcpOptions, info: dict[str, Any] | None) -> tuple[str, float]:
    """Return a new token and when it expires, in Unix seconds."""
    try:
        import google.auth.transport.requests as transport  # noqa: PLC0415 - loads slowly
    except ImportError:
        message = "google-auth is not installed: pip install 'dragoman[vertex]'"
        raise CredentialUnavailable(message) from None
    credentials = _credentials(options, info)
    request = functools.partial(transport.Request(), timeout=_FETCH_TIMEOUT_S)
    credentials.refresh(request)
    if not credentials.token:
        raise CredentialUnavailable(f"{_source(options)}: the token is empty")
    expiry = credentials.expiry  # UTC, but it does not say so
    if expiry is None:
        return credentials.token, datetime.now(UTC).timestamp() + _DEFAULT_LIFE_S
    return credentials.token, expiry.replace(tzinfo=UTC).timestamp()


def _credentials(options: GcpOptions, info: dict[str, Any] | None) -> Any:
    if info is None and options.credentials_file:
        info = dict(json.loads(Path(options.credentials_file).read_bytes()))
    if info is not None:
        found = _of_kind(info)
    else:
        found, _ = import_module("google.auth").default(scopes=[SCOPE])
    if not options.impersonate:
        return found
    return import_module("google.auth.impersonated_credentials").Credentials(
        source_credentials=found, target_principal=options.impersonate, target_scopes=[SCOPE]
    )


def _of_kind(info: dict[str, Any]) -> Any:
    """Return the credentials that a document describes.

    google-auth's loader of any kind is deprecated: it also runs the programs that one kind names.
    """
    kind = info.get("type")
    source = info.get("credential_source")
    environment = str(source.get("environment_id") or "") if isinstance(source, dict) else ""
    if kind == "external_account" and environment.startswith("aws"):
        kind = "external_account/aws"
    maker = _MAKERS.get(str(kind))
    if maker is None or (isinstance(source, dict) and "executable" in source):
        raise CredentialUnavailable("Google credentials: this kind is not supported")
    module, name, method = maker
    return getattr(getattr(import_module(module), name), method)(info, scopes=[SCOPE])


_: type[Credential] = GcpCredential
