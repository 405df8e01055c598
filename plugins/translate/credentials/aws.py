"""AWS: requests signed with SigV4, or a Bedrock API key as a bearer token."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Mapping
from importlib.util import find_spec
from typing import Protocol

from pydantic import Field, SecretStr, model_validator

from pipeline.api import Backend, PluginConfig
from plugins.translate.credentials.contract import Credential, Signed, Unsigned
from plugins.translate.credentials.keys import KEY_HEADERS, bearer
from plugins.translate.credentials.refreshing import RefreshingToken

BEARER_VARIABLE = "AWS_BEARER_TOKEN_BEDROCK"
"""Environment variable that AWS's SDKs take a Bedrock API key from."""

_LONGEST_WAIT_S = 5.0  # of a request, while there is no valid credential
_REGION = re.compile(r"\.([a-z]{2,4}(?:-[a-z]+)+-\d)\.(?:amazonaws\.com|api\.aws|vpce\.)")


class AwsOptions(PluginConfig):
    """Where a backend's AWS credentials come from; the SDKs' default chain unless said."""

    region: str = Field(
        default="",
        description="AWS region; of the URL's host, `AWS_REGION` or the profile if absent.",
    )
    profile: str = Field(default="", description="Profile of the shared AWS config files.")
    access_key_id: str = Field(default="", description="Id of a static access key.")
    secret_access_key: SecretStr | None = Field(
        default=None, description="Secret of the access key; `${ENV}` or `file:/path`."
    )
    session_token: SecretStr | None = Field(
        default=None, description="Session token of the access key; `${ENV}` or `file:/path`."
    )
    role_arn: str = Field(default="", description="Role to assume with these credentials.")
    role_session_name: str = Field(
        default="dragoman", description="Name of the role's sessions in AWS's audit log."
    )
    external_id: str = Field(default="", description="External id that the role's trust asks for.")
    web_identity_token_file: str = Field(
        default="",
        description="File with an OIDC token to assume the role with; read anew for each session.",
    )
    sts_url: str = Field(default="", description="URL of AWS STS; the region's own if absent.")

    @model_validator(mode="after")
    def _whole(self) -> AwsOptions:
        if bool(self.access_key_id) != (self.secret_access_key is not None):
            raise ValueError("give both `access_key_id` and `secret_access_key`, or none")
        if self.session_token is not None and not self.access_key_id:
            raise ValueError("`session_token` belongs to an `access_key_id`")
        if self.web_identity_token_file and not self.role_arn:
            raise ValueError("`web_identity_token_file` needs the `role_arn` to assume")
        return self

    @property
    def names_source(self) -> bool:
        """Whether the config says where credentials come from."""
        return bool(self.profile or self.access_key_id or self.role_arn)


class Signer(Protocol):
    """Signs requests with one set of keys."""

    def sign(self, request: Unsigned) -> Signed:
        """Sign one request."""


class AwsCredential:
    """Signs with keys that are kept fresh.

    Args:
        signer: the keys.
    """

    covers_body = True
    names = frozenset((*KEY_HEADERS, "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"))

    def __init__(self, signer: RefreshingToken[Signer]) -> None:
        self._signer = signer

    async def start(self) -> None:
        """Find the first keys and keep them fresh."""
        await self._signer.start()

    async def close(self) -> None:
        """Stop refreshing."""
        await self._signer.close()

    def sign(self, request: Unsigned) -> Signed | Awaitable[Signed]:
        """Sign one request; awaits only where there are no valid keys yet."""
        if request.client_key:  # a Bedrock API key
            return Signed({"authorization": f"Bearer {request.client_key}"})
        signer = self._signer.current()
        return self._sign_later(request) if signer is None else signer.sign(request)

    async def _sign_later(self, request: Unsigned) -> Signed:
        return (await self._signer.get(_LONGEST_WAIT_S)).sign(request)

    def __repr__(self) -> str:
        return f"AwsCredential({self._signer!r})"


def aws_credential(
    backend: Backend, service: str = "bedrock", environ: Mapping[str, str] = os.environ
) -> Credential:
    """Return what signs the requests of a backend whose options are `AwsOptions`.

    A Bedrock API key wins: the backend's, or the environment's where the options name no source.

    Args:
        backend: the backend.
        service: name of the service in signatures.
        environ: environment variables.

    Raises:
        ValueError: botocore is not installed.
    """
    options = backend.options
    assert isinstance(options, AwsOptions)  # noqa: S101 - made from its spec's options
    if backend.api_key:
        return bearer(backend.api_key)
    if (key := environ.get(BEARER_VARIABLE, "")) and not options.names_source:
        return _EnvironmentKey(key)
    if find_spec("botocore") is None:
        raise ValueError("AWS credentials need botocore: install `dragoman[bedrock]`")
    region = options.region or region_of(backend.url.hostname or "")

    def find() -> tuple[Signer, float]:
        # In the thread: botocore takes a while to import, and its sources wait for the network.
        from plugins.translate.credentials.aws_sources import find_signer  # noqa: PLC0415

        return find_signer(options, region=region, service=service)

    async def fetch() -> tuple[Signer, float]:
        return await asyncio.to_thread(find)

    token = RefreshingToken(fetch, source="AWS credentials")
    return AwsCredential(token)


def runtime_url(options: PluginConfig) -> str:
    """Return the URL of Bedrock's runtime in the options' region; empty where they name none."""
    region = options.region if isinstance(options, AwsOptions) else ""
    if not region:
        return ""
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://bedrock-runtime.{region}.{domain}"


def region_of(host: str) -> str:
    """Return the region that an AWS host names, empty where it names none."""
    found = _REGION.search(host)
    return found[1] if found else ""


class _EnvironmentKey:
    """A Bedrock API key from the environment."""

    covers_body = False
    names = frozenset(KEY_HEADERS)

    def __init__(self, key: str) -> None:
        self._key = key

    async def start(self) -> None:
        """Do nothing: the key is there."""

    async def close(self) -> None:
        """Do nothing."""

    def sign(self, request: Unsigned) -> Signed:
        """Put the key in its place."""
        return Signed({"authorization": f"Bearer {request.client_key or self._key}"})

    def __repr__(self) -> str:
        return f"_EnvironmentKey({BEARER_VARIABLE})"
