"""Azure: an API key, or a token of Microsoft Entra ID that is kept fresh."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any, Literal, Protocol

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

_LONGEST_WAIT_S = 5.0  # of a request, while there is no valid token
# The library gives its cached token again until five minutes before that expires.
_AHEAD_S = 240.0
_DEFAULT_SCOPE = "https://cognitiveservices.azure.com/.default"

Source = Literal["client_secret", "workload_identity", "managed_identity", "default"]


class AzureOptions(PluginConfig):
    """Where a backend's Azure credentials come from: its `api_key`, unless `entra` is set."""

    entra: Source | None = Field(
        default=None,
        description="Where tokens of Entra ID come from: an application's `client_secret`, "
        "a `workload_identity`'s federated token file, the machine's `managed_identity`, or "
        "`default` for azure-identity's own chain. The API key is used if absent.",
    )
    tenant_id: str = Field(default="", description="Entra tenant; `AZURE_TENANT_ID` if absent.")
    client_id: str = Field(
        default="",
        description="Application, or user-assigned identity; `AZURE_CLIENT_ID` if absent.",
    )
    client_secret: SecretStr | None = Field(
        default=None, description="The application's secret; `${ENV}` or `file:/path`."
    )
    federated_token_file: str = Field(
        default="",
        description="File with an OIDC token to exchange; `AZURE_FEDERATED_TOKEN_FILE` if absent.",
    )
    authority: str = Field(
        default="",
        description="Host of Entra ID, for sovereign clouds; `AZURE_AUTHORITY_HOST` if absent.",
    )
    scope: str = Field(default=_DEFAULT_SCOPE, description="What tokens are asked for.")

    @model_validator(mode="after")
    def _whole(self) -> AzureOptions:
        if self.entra == "client_secret" and not (
            self.tenant_id and self.client_id and self.client_secret
        ):
            raise ValueError("`client_secret` needs `tenant_id`, `client_id` and `client_secret`")
        return self


class AccessToken(Protocol):
    """What azure-identity gives."""

    @property
    def token(self) -> str:
        """The token."""

    @property
    def expires_on(self) -> int:
        """Seconds since the epoch."""


class TokenCredential(Protocol):
    """azure-identity's asynchronous credentials."""

    async def get_token(self, *scopes: str) -> AccessToken:
        """Return a token."""

    async def close(self) -> None:
        """Close its connections."""


class EntraCredential:
    """Bearer tokens of Entra ID.

    Args:
        make: makes the credential that gets tokens; called once, in a thread.
        scope: what tokens are asked for.
        source: what messages call it.
    """

    covers_body = False
    names = frozenset(KEY_HEADERS)

    def __init__(self, make: Callable[[], TokenCredential], scope: str, source: str) -> None:
        self._make = make
        self._scope = scope
        self._made: TokenCredential | None = None
        self._source = f"Entra ID ({source})"
        self._token = RefreshingToken(self._fetch, source=self._source, ahead_s=_AHEAD_S)

    async def start(self) -> None:
        """Get the first token and keep it fresh."""
        await self._token.start()

    async def close(self) -> None:
        """Stop refreshing."""
        await self._token.close()
        if self._made is not None:
            await self._made.close()
            self._made = None

    def sign(self, request: Unsigned) -> Signed | Awaitable[Signed]:
        """Put the token in `Authorization`; a key that the client brings goes first.

        Raises:
            CredentialUnavailable: no token can be had in time.
        """
        if request.client_key:
            return Signed({"api-key": request.client_key})
        token = self._token.current()
        return self._awaited() if token is None else _signed(token)

    async def _awaited(self) -> Signed:
        return _signed(await self._token.get(_LONGEST_WAIT_S))

    async def _fetch(self) -> tuple[str, float]:
        if self._made is None:
            # Importing the library takes longer than the event loop should wait.
            self._made = await asyncio.to_thread(self._make)
        token = await self._made.get_token(self._scope)
        return token.token, float(token.expires_on)

    def __repr__(self) -> str:
        return f"EntraCredential({self._source})"


def azure_credential(backend: Backend, **client: Any) -> Credential:
    """Return what signs requests for a backend whose options are `AzureOptions`.

    Args:
        backend: the backend.
        client: arguments for azure-identity's credential beside those of the options.
    """
    options = backend.options
    assert isinstance(options, AzureOptions)  # noqa: S101 - made from the spec's options
    if options.entra is None:
        return KeyCredential(backend.api_key, header="api-key")

    def make() -> TokenCredential:
        return _token_credential(options, client)

    return EntraCredential(make, options.scope, options.entra)


def _token_credential(options: AzureOptions, client: dict[str, Any]) -> TokenCredential:
    if find_spec("azure") is None or find_spec("azure.identity") is None:
        raise CredentialUnavailable("azure-identity is not installed: pip install dragoman[azure]")
    from azure.identity import aio  # noqa: PLC0415 - slow, and only here

    authority = {"authority": options.authority} if options.authority else {}
    named = {
        name: value
        for name, value in (("tenant_id", options.tenant_id), ("client_id", options.client_id))
        if value
    }
    match options.entra:
        case "client_secret":
            secret = options.client_secret.get_secret_value() if options.client_secret else ""
            return aio.ClientSecretCredential(**named, client_secret=secret, **authority, **client)
        case "workload_identity":
            path = options.federated_token_file or None
            return aio.WorkloadIdentityCredential(
                **named, token_file_path=path, **authority, **client
            )
        case "managed_identity":
            return aio.ManagedIdentityCredential(client_id=options.client_id or None, **client)
    return aio.DefaultAzureCredential(
        managed_identity_client_id=options.client_id or None, **authority, **client
    )


def _signed(token: str) -> Signed:
    return Signed({"authorization": f"Bearer {token}"})
