"""A whole stack with a simulator of every provider behind it, which take the right keys only."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from tests.support.providers import (
    anthropic,
    azure,
    bedrock,
    cohere,
    gemini,
    mistral,
    openai,
)
from tests.support.providers.bedrock_rules import Refused, check_signature
from tests.support.providers.openai_responses import add_responses
from tests.support.stack import Stack, running_stack

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADER = "x-provider"
"""Request header that names the route, and so the provider."""
RETRY_AFTER_S = 7
"""What every 429 says: Google's in its body, the others' in a header."""
GCP_TOKEN = "token-of-gcp"
_EMAIL = "robot@p.iam.gserviceaccount.com"
_CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"


@dataclass(frozen=True)
class Simulated:
    """One provider's simulator and the backend that reaches it.

    Args:
        make: makes the application and the list of what it is sent.
        models: what clients ask for, to the provider's names.
        keys: the backend's other keys.
        base: path of the base URL.
        secret: what in its requests is a credential.
    """

    make: Callable[[], tuple[web.Application, list[Any]]]
    models: Mapping[str, str]
    keys: Mapping[str, Any]
    base: str = ""
    secret: str = ""


def _openai() -> tuple[web.Application, list[Any]]:
    application, seen = openai.app("key-openai", thinking="reasoning_content")
    add_responses(application, seen, "/v1/responses")
    return application, seen


def _azure() -> tuple[web.Application, list[Any]]:
    application, seen = azure.app("key-azure")
    add_responses(application, seen, "/openai/v1/responses")
    return application, seen


def _signed() -> tuple[web.Application, list[Any]]:
    application, seen = anthropic.app()
    application.middlewares.append(_only_signed)
    return application, seen


def _with_token() -> tuple[web.Application, list[Any]]:
    application, seen = anthropic.app()
    application.middlewares.append(_only_with_token)
    return application, seen


_AWS = {
    "region": bedrock.REGION,
    "access_key_id": bedrock.KEYS.access_key,
    "secret_access_key": bedrock.KEYS.secret_key,
    "session_token": bedrock.KEYS.token,
}
_MISTRAL = {"a-model": "mistral-medium-latest", "thinker": "magistral-medium-latest"}
_COHERE = {
    "a-model": "command-a-03-2025",
    "thinker": "command-a-reasoning-08-2025",
    "seer": "command-a-vision-07-2025",
    "embedder": "embed-v4.0",
    "ranker": "rerank-v3.5",
}
SIMULATED: Mapping[str, Simulated] = {
    "openai": Simulated(
        _openai,
        {"a-model": "gpt-5", "embedder": "text-embedding-3-small"},
        {"api_key": "key-openai"},
        "/v1",
        "key-openai",
    ),
    "together": Simulated(
        lambda: openai.app("key-together"),
        {"a-model": "openai/gpt-oss-120b"},
        {"api_key": "key-together"},
        "/v1",
        "key-together",
    ),
    "azure_openai": Simulated(
        _azure,
        {"a-model": "my-gpt", "embedder": "my-embedder"},
        {"api_key": "key-azure"},
        "/openai/v1",
        "key-azure",
    ),
    "aws_bedrock": Simulated(
        bedrock.app,
        {"a-model": _CLAUDE, "embedder": "amazon.titan-embed-text-v2:0"}
        | {"ranker": "cohere.rerank-v3-5:0"},
        _AWS,
        secret="AWS4-HMAC-SHA256",
    ),
    "aws_bedrock_invoke": Simulated(_signed, {"a-model": _CLAUDE}, _AWS, secret="AWS4-HMAC-SHA256"),
    "vertex_gemini": Simulated(
        lambda: gemini.app(GCP_TOKEN),
        {"a-model": "gemini-2.5-pro", "embedder": "text-embedding-005"},
        {"project": "p", "location": "us-east5"},
        "/v1",
        GCP_TOKEN,
    ),
    "gemini": Simulated(
        lambda: gemini.app("key-gemini"),
        {"a-model": "gemini-3-pro-preview", "embedder": "gemini-embedding-001"},
        {"api_key": "key-gemini"},
        "/v1beta",
        "key-gemini",
    ),
    "vertex_claude": Simulated(
        _with_token,
        {"a-model": "claude-sonnet-4-5@20250929"},
        {"project": "p", "location": "us-east5"},
        "/v1",
        GCP_TOKEN,
    ),
    "anthropic": Simulated(
        lambda: anthropic.app("key-anthropic"),
        {"a-model": "claude-sonnet-4-5"},
        {"api_key": "key-anthropic"},
        "/v1",
        "key-anthropic",
    ),
    "cohere": Simulated(
        lambda: cohere.app("key-cohere"), _COHERE, {"api_key": "key-cohere"}, "", "key-cohere"
    ),
    "mistral": Simulated(
        lambda: mistral.app("key-mistral"),
        {**_MISTRAL, "embedder": "mistral-embed"},
        {"api_key": "key-mistral"},
        "/v1",
        "key-mistral",
    ),
}
"""Every provider of the matrix, by the name of its backend and route."""


@dataclass
class Translated:
    """What is running.

    Args:
        stack: the host and its Envoy.
        seen: what each simulator was sent, by provider.
    """

    stack: Stack
    seen: dict[str, list[Any]] = field(default_factory=dict)

    def forget(self) -> None:
        """Forget what the simulators were sent."""
        for requests in self.seen.values():
            requests.clear()

    def sent_to(self, provider: str) -> str:
        """Return the last body that a simulator was sent, as text."""
        return json.dumps(self.seen[provider][-1].body)


@web.middleware
async def _only_signed(request: web.Request, handler: Handler) -> web.StreamResponse:
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        check_signature(
            bedrock.KEYS,
            region=bedrock.REGION,
            method=request.method,
            path=request.raw_path,
            headers=headers,
            body=await request.read(),
        )
    except Refused as error:
        return web.json_response({"message": str(error)}, status=error.status)
    return await handler(request)


@web.middleware
async def _only_with_token(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.headers.get("authorization") != f"Bearer {GCP_TOKEN}":
        return gemini.error(401, "Request had invalid authentication credentials.")
    return await handler(request)


async def _say_when_to_retry(_: web.Request, response: web.StreamResponse) -> None:
    if response.status == web.HTTPTooManyRequests.status_code:
        response.headers["retry-after"] = str(RETRY_AFTER_S)


@asynccontextmanager
async def _served(application: web.Application, *, says_when: bool = True) -> AsyncIterator[str]:
    if says_when:
        application.on_response_prepare.append(_say_when_to_retry)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def google_account() -> AsyncIterator[str]:
    """Run Google's token endpoint, and give the key of a service account that it knows."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    plain = serialization.NoEncryption()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    async def token(request: web.Request) -> web.Response:
        form = parse_qs(await request.text())
        claims = jwt.decode(form["assertion"][0], certs=public)
        assert claims["iss"] == _EMAIL
        return web.json_response({"access_token": GCP_TOKEN, "expires_in": 3600})

    application = web.Application()
    application.router.add_post("/token", token)
    async with _served(application) as url:
        account = {"type": "service_account", "project_id": "p", "private_key_id": "k"}
        account |= {"private_key": private, "client_email": _EMAIL, "token_uri": f"{url}/token"}
        yield json.dumps(account)


@asynccontextmanager
async def translated_stack(
    envoy: Path,
    *,
    routes: Sequence[Json] = (),
    backends: Mapping[str, Json] | None = None,
    names: Sequence[str] = tuple(SIMULATED),
) -> AsyncIterator[Translated]:
    """Run simulators, the host and Envoy, with a route per provider that `HEADER` chooses.

    Args:
        envoy: its binary.
        routes: more routes, with the name that `HEADER` chooses them by.
        backends: more backends: a copy of the one that `like` names, with other keys.
        names: the providers that are wanted.
    """
    seen: dict[str, list[Any]] = {}
    made: dict[str, Json] = {}
    async with AsyncExitStack() as stack:
        account = await stack.enter_async_context(google_account())
        for name in names:
            one = SIMULATED[name]
            application, seen[name] = one.make()
            says_when = "gemini" not in name
            url = await stack.enter_async_context(_served(application, says_when=says_when))
            google = {"service_account": account} if one.secret == GCP_TOKEN else {}
            made[name] = {
                "provider": name,
                "url": url + one.base,
                "models": dict(one.models),
                **one.keys,
                **google,
            }
        for name, keys in (backends or {}).items():
            own = dict(keys)
            made[name] = {**made[own.pop("like")], **own}
        chosen = [{"name": name.replace("_", "-"), "backends": [name]} for name in names]
        config = {
            "backends": made,
            "routes": [
                {**route, "match": {"headers": {HEADER: route["name"]}}}
                for route in [*chosen, *routes]
            ],
        }
        running = await stack.enter_async_context(running_stack(config, upstreams={}, binary=envoy))
        yield Translated(running, seen)
