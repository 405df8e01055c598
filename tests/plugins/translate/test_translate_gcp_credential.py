"""Google Cloud tokens, from servers that stand in for Google's."""

from __future__ import annotations

import asyncio
import json
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import iam, jwt
from google.auth.compute_engine import _metadata
from pydantic import SecretStr, ValidationError

from pipeline.api import Backend
from plugins.translate.credentials import gcp
from plugins.translate.credentials.contract import CredentialUnavailable, Unsigned
from plugins.translate.credentials.gcp import SCOPE, GcpOptions, gcp_credential

EMAIL = "robot@p.iam.gserviceaccount.com"
REQUEST = Unsigned("POST", "h", "/", {}, b"")


@pytest.fixture(scope="module")
def private_key():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


class Google:
    """OAuth's token endpoint, STS, IAM and the metadata server in one."""

    def __init__(self):
        self.asked = []
        self.fails = 0
        self.url = ""

    async def token(self, request):
        form = {name: values[0] for name, values in parse_qs(await request.text()).items()}
        self.asked.append(("token", form))
        return self._answer({"access_token": f"t{len(self.asked)}", "expires_in": 3600})

    async def sts(self, request):
        form = {name: values[0] for name, values in parse_qs(await request.text()).items()}
        self.asked.append(("sts", form))
        kind = "urn:ietf:params:oauth:token-type:access_token"
        answer = {"access_token": "federated", "issued_token_type": kind, "token_type": "Bearer"}
        return self._answer({**answer, "expires_in": 3600})

    async def impersonated(self, request):
        bearer = request.headers["authorization"]
        self.asked.append(("iam", {"account": request.match_info["account"], "bearer": bearer}))
        expiry = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        return self._answer({"accessToken": "acting", "expireTime": expiry})

    async def metadata(self, request):
        flavor = {"metadata-flavor": "Google"}
        if request.path.endswith("/token"):
            self.asked.append(("metadata", dict(request.query)))
            token = {"access_token": "machine", "expires_in": 3600, "token_type": "Bearer"}
            return web.json_response(token, headers=flavor)
        if request.path.endswith("/default/"):
            account = {"email": EMAIL, "scopes": [SCOPE], "aliases": ["default"]}
            return web.json_response(account, headers=flavor)
        return web.Response(text="p", headers=flavor)

    def _answer(self, document):
        if self.fails:
            self.fails -= 1
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response(document)


@pytest.fixture
async def google():
    fake = Google()
    application = web.Application()
    application.add_routes(
        [
            web.post("/token", fake.token),
            web.post("/sts", fake.sts),
            web.post("/iam/{account}", fake.impersonated),
            web.get("/{rest:.*}", fake.metadata),
        ]
    )
    async with TestServer(application) as server:
        fake.url = str(server.make_url("")).rstrip("/")
        yield fake


@pytest.fixture
def account(google, private_key):
    return {
        "type": "service_account",
        "client_email": EMAIL,
        "private_key": private_key,
        "private_key_id": "1",
        "token_uri": f"{google.url}/token",
    }


def credential_of(options=None, **more):
    given = Backend("b", "vertex_gemini", urlsplit("https://h"), options=options, **more)
    return gcp_credential(given)


async def signed(credential, request=REQUEST):
    found = credential.sign(request)
    return await found if asyncio.iscoroutine(found) else found


async def token_of(credential):
    await credential.start()
    try:
        return (await signed(credential)).headers["authorization"]
    finally:
        await credential.close()


async def test_a_service_accounts_key_is_exchanged_for_a_token(google, account):
    options = GcpOptions(service_account=SecretStr(json.dumps(account)), quota_project="q")
    credential = credential_of(options)

    await credential.start()
    found = credential.sign(REQUEST)
    await credential.close()

    assert found.headers == {"authorization": "Bearer t1", "x-goog-user-project": "q"}
    claims = jwt.decode(google.asked[0][1]["assertion"], verify=False)
    assert (claims["iss"], claims["scope"]) == (EMAIL, SCOPE)


async def test_a_credentials_file_is_read_anew_for_each_token(google, account, tmp_path):
    file = tmp_path / "key.json"
    file.write_text(json.dumps(account))
    options = GcpOptions(credentials_file=str(file))
    await token_of(credential_of(options))
    file.write_text(json.dumps({**account, "client_email": "other@p"}))

    await token_of(credential_of(options))

    claims = [jwt.decode(form["assertion"], verify=False) for _, form in google.asked]
    assert [one["iss"] for one in claims] == [EMAIL, "other@p"]


async def test_a_workload_identity_is_federated(google, tmp_path):
    subject = tmp_path / "token"
    subject.write_text("oidc-token")
    file = tmp_path / "federation.json"
    config = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/a",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{google.url}/sts",
        "credential_source": {"file": str(subject)},
    }
    file.write_text(json.dumps(config))

    found = await token_of(credential_of(GcpOptions(credentials_file=str(file))))

    assert found == "Bearer federated"
    assert google.asked[0][1]["subject_token"] == "oidc-token"


async def test_another_service_account_can_be_acted_as(google, account, monkeypatch):
    monkeypatch.setattr(iam, "_IAM_ENDPOINT", google.url + "/iam/{}")
    options = GcpOptions(
        service_account=SecretStr(json.dumps(account)), impersonate="actor@p.example"
    )

    found = await token_of(credential_of(options))

    assert found == "Bearer acting"
    told = {"account": "actor@p.example", "bearer": "Bearer t1"}
    assert google.asked[-1] == ("iam", told)


async def test_a_machine_has_the_token_of_its_metadata_server(google, monkeypatch, tmp_path):
    host = google.url.removeprefix("http://")
    monkeypatch.setattr(_metadata, "_GCE_METADATA_HOST", host)
    monkeypatch.setenv("GCE_METADATA_IP", host)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)

    assert await token_of(credential_of(GcpOptions())) == "Bearer machine"


async def test_a_failure_is_told_without_secrets_and_a_later_try_succeeds(google, account):
    google.fails = 1
    options = GcpOptions(service_account=SecretStr(json.dumps(account)))
    credential = credential_of(options)
    await credential.start()

    found = await signed(credential)
    await credential.close()

    assert found.headers["authorization"] == "Bearer t2"
    assert "PRIVATE" not in repr(options) + repr(credential)


async def test_no_token_in_time_names_the_source_only(monkeypatch, tmp_path):
    monkeypatch.setattr(gcp, "_LONGEST_WAIT_S", 0.05)
    file = tmp_path / "gone.json"
    credential = credential_of(GcpOptions(credentials_file=str(file)))
    await credential.start()

    with pytest.raises(CredentialUnavailable, match=r"gone\.json: failed with FileNotFoundError"):
        await signed(credential)
    await credential.close()


@pytest.mark.parametrize(
    "info",
    [
        {"type": "external_account", "credential_source": {"executable": {"command": "rm"}}},
        {"type": "odd"},
        {},
    ],
)
async def test_kinds_that_run_programs_or_are_unknown_are_refused(info, monkeypatch):
    monkeypatch.setattr(gcp, "_LONGEST_WAIT_S", 0.05)
    credential = credential_of(GcpOptions(service_account=SecretStr(json.dumps(info))))
    await credential.start()

    with pytest.raises(CredentialUnavailable, match="not supported"):
        await signed(credential)
    await credential.close()


async def test_an_api_key_needs_no_token():
    credential = credential_of(GcpOptions(), api_key="AIzaKey")
    await credential.start()

    assert (await signed(credential)).headers == {"x-goog-api-key": "AIzaKey"}


@pytest.mark.parametrize(
    ("key", "headers"),
    [("ya29.x", {"authorization": "Bearer ya29.x"}), ("AIzaX", {"x-goog-api-key": "AIzaX"})],
)
async def test_a_clients_own_credential_goes_first_where_the_backend_allows_it(key, headers):
    brought = Unsigned("POST", "h", "/", {}, b"", client_key=key)
    credential = credential_of(GcpOptions(), key_header="x-own")

    assert (await signed(credential, brought)).headers == headers


@pytest.mark.parametrize("text", ["{", "[1]", "1"])
def test_a_service_account_must_be_a_json_object(text):
    with pytest.raises(ValueError, match="no JSON object"):
        credential_of(GcpOptions(service_account=SecretStr(text)))


def test_two_sources_are_refused():
    with pytest.raises(ValidationError, match="not both"):
        GcpOptions(service_account=SecretStr("{}"), credentials_file="x")
