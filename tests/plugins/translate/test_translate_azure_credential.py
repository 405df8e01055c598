"""Azure's credentials, with azure-identity against a token server of our own."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import ValidationError

from plugins.translate.credentials.azure import AzureOptions, EntraCredential, azure_credential
from plugins.translate.credentials.contract import CredentialUnavailable, Unsigned

SECRET = "hunter2"
TENANT = "11111111-2222-3333-4444-555555555555"
APPLICATION = {"tenant_id": TENANT, "client_id": "app-1"}
REQUEST = Unsigned("POST", "r.openai.azure.com", "/openai/v1/chat/completions", {}, b"{}")


def backend(api_key="", **options):
    return SimpleNamespace(api_key=api_key, options=AzureOptions(**options))


class Entra:
    """Entra's token endpoint, and the metadata endpoint of managed identities."""

    def __init__(self):
        self.forms = []
        self.queries = []
        self.status = 200

    async def token(self, request):
        self.forms.append({k: v[0] for k, v in parse_qs(await request.text()).items()})
        if self.status != 200:
            error = {"error": "invalid_client", "error_description": SECRET}
            return web.json_response(error, status=self.status)
        token = f"token-{len(self.forms)}"
        answer = {"token_type": "Bearer", "expires_in": 3600, "access_token": token}
        return web.json_response(answer)

    async def identity(self, request):
        self.queries.append((dict(request.query), request.headers.get("X-IDENTITY-HEADER")))
        expires = str(int(time.time()) + 3600)
        return web.json_response(
            {
                "access_token": "managed",
                "expires_on": expires,
                "resource": request.query["resource"],
            }
        )


@pytest.fixture
def entra():
    return Entra()


@pytest.fixture
async def server(entra):
    application = web.Application()
    application.add_routes(
        [
            web.post("/{tenant}/oauth2/v2.0/token", entra.token),
            web.get("/msi/token", entra.identity),
        ]
    )
    async with TestServer(application) as running:
        yield running


@pytest.fixture
def client(server):
    """Arguments that take azure-identity to the server, whatever host it thinks it asks."""
    from azure.core.pipeline.transport import AioHttpTransport

    class Rerouted(AioHttpTransport):
        async def send(self, request, **kwargs):
            _, _, path = request.url.removeprefix("https://").partition("/")
            request.url = str(server.make_url(f"/{path}"))
            return await super().send(request, **kwargs)

    return {"transport": Rerouted(), "retry_total": 0}


async def signed(credential, request=REQUEST):
    got = credential.sign(request)
    return got if not hasattr(got, "__await__") else await got


def test_a_key_goes_into_its_own_header():
    credential = azure_credential(backend(SECRET))

    assert credential.sign(REQUEST).headers == {"api-key": SECRET}
    assert SECRET not in repr(credential)
    assert not credential.covers_body


async def test_a_client_secret_is_exchanged_once_for_all_who_wait(entra, client):
    options = {**APPLICATION, "client_secret": SECRET}
    credential = azure_credential(backend(entra="client_secret", **options), **client)
    got = await asyncio.gather(*(signed(credential) for _ in range(20)))
    await credential.close()

    assert {one.headers["authorization"] for one in got} == {"Bearer token-1"}
    assert len(entra.forms) == 1
    assert entra.forms[0]["client_secret"] == SECRET
    assert entra.forms[0]["scope"] == "https://cognitiveservices.azure.com/.default"
    assert SECRET not in repr(credential) + repr(got)


async def test_a_started_credential_signs_without_waiting(entra, client):
    options = {**APPLICATION, "client_secret": SECRET}
    credential = azure_credential(backend(entra="client_secret", **options), **client)
    await credential.start()
    headers = credential.sign(REQUEST).headers
    await credential.close()

    assert headers == {"authorization": "Bearer token-1"}


async def test_a_federated_token_is_read_from_its_file_and_exchanged(entra, client, tmp_path):
    path = tmp_path / "token"
    path.write_text("federated", encoding="utf-8")
    options = {**APPLICATION, "federated_token_file": str(path)}
    credential = azure_credential(backend(entra="workload_identity", **options), **client)
    got = await signed(credential)
    await credential.close()

    assert got.headers == {"authorization": "Bearer token-1"}
    assert entra.forms[0]["client_assertion"] == "federated"
    assert entra.forms[0]["client_assertion_type"].endswith("jwt-bearer")


async def test_a_managed_identity_gets_its_token_from_the_machine(entra, server, monkeypatch):
    monkeypatch.setenv("IDENTITY_ENDPOINT", str(server.make_url("/msi/token")))
    monkeypatch.setenv("IDENTITY_HEADER", "proof")
    credential = azure_credential(backend(entra="managed_identity", client_id="mine"))
    got = await signed(credential)
    await credential.close()

    assert got.headers == {"authorization": "Bearer managed"}
    query, proof = entra.queries[0]
    assert (query["client_id"], proof) == ("mine", "proof")
    assert query["resource"] == "https://cognitiveservices.azure.com"


async def test_a_refused_secret_is_unavailable_and_nowhere_quoted(entra, client, capsys):
    entra.status = 401
    options = {**APPLICATION, "client_secret": SECRET}
    credential = azure_credential(backend(entra="client_secret", **options), **client)
    credential._token._rand = lambda: 1.0
    for _ in range(4):
        await credential._token._fly()
    with pytest.raises(CredentialUnavailable, match="Entra ID") as caught:
        await signed(credential)
    await credential.close()

    assert SECRET not in str(caught.value)
    out = capsys.readouterr()
    assert SECRET not in out.out + out.err


async def test_a_clients_own_key_goes_first():
    def never():
        raise AssertionError("no token is needed")

    credential = EntraCredential(never, "scope", "test")
    request = Unsigned("POST", "h", "/", {}, b"", client_key="theirs")

    assert credential.sign(request).headers == {"api-key": "theirs"}


def test_a_secret_needs_its_application():
    with pytest.raises(ValidationError, match="tenant_id"):
        AzureOptions(entra="client_secret", client_id="a")


def test_options_never_show_the_secret():
    options = AzureOptions(entra="client_secret", **APPLICATION, client_secret=SECRET)

    assert SECRET not in repr(options) + str(options.model_dump())
