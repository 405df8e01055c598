"""AWS credentials: every source of keys, their signatures, and their renewal."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import time
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from botocore.credentials import ReadOnlyCredentials
from pydantic import ValidationError

from pipeline.api import Backend
from plugins.translate.credentials import aws
from plugins.translate.credentials.aws import AwsCredential, AwsOptions, aws_credential, region_of
from plugins.translate.credentials.aws_sources import SigV4Signer
from plugins.translate.credentials.contract import CredentialUnavailable, Signed, Unsigned
from plugins.translate.credentials.refreshing import RefreshingToken
from tests.support.providers.aws_keys import KeySources
from tests.support.providers.bedrock_rules import Refused, check_signature
from tests.support.providers.serving import served

REGION = "us-west-2"
HOST = "bedrock-runtime.us-west-2.amazonaws.com"
ROLE = "arn:aws:iam::123456789012:role/caller"
STATIC = {"access_key_id": "AKIDSTATIC", "secret_access_key": "s3cret", "session_token": "tok"}
REQUEST = Unsigned(
    method="POST",
    host=HOST,
    path="/model/us.anthropic.claude-x-v1%3A0/converse?a=b%20c",
    headers={"content-type": "application/json", "accept-encoding": "gzip"},
    body=b'{"messages": []}',
)


@pytest.fixture(autouse=True)
def no_sources(monkeypatch, tmp_path):
    """Leave botocore's default chain nothing of this machine's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.fixture
def sources():
    return KeySources()


@pytest.fixture
def url(sources):
    with served(sources.app()) as url:
        yield url


def backend(*, api_key="", key_header="", host=HOST, **options):
    return Backend(
        name="b",
        provider="aws_bedrock",
        url=urlsplit(f"https://{host}"),
        api_key=api_key,
        key_header=key_header,
        options=AwsOptions(**options),
    )


async def signed_by(credential, request=REQUEST):
    await credential.start()
    try:
        given = credential.sign(request)
        return await given if inspect.isawaitable(given) else given
    finally:
        await credential.close()


def verify(signed, key_id, *, token=None, region=REGION, request=REQUEST):
    """Recompute the signature as AWS does."""
    check_signature(
        ReadOnlyCredentials(key_id, "s3cret", token),
        region=region,
        method=request.method,
        path=request.path,
        headers={"host": request.host, **request.headers, **signed.headers},
        body=request.body,
    )


# --- signatures
async def test_a_request_is_signed_as_aws_demands():
    signed = await signed_by(aws_credential(backend(**STATIC)))

    assert signed.headers.keys() == {"authorization", "x-amz-date", "x-amz-security-token"}
    verify(signed, "AKIDSTATIC", token="tok")


@pytest.mark.parametrize(
    "change",
    [
        {"body": b"{}"},
        {"path": "/model/other/converse"},
        {"method": "GET"},
        {"host": "other.example"},
        {"headers": {"content-type": "text/plain"}},
    ],
)
async def test_a_signature_covers_what_is_sent(change):
    signed = await signed_by(aws_credential(backend(**STATIC)))

    with pytest.raises(Refused):
        verify(signed, "AKIDSTATIC", token="tok", request=replace(REQUEST, **change))


async def test_headers_that_proxies_change_are_not_signed():
    signed = await signed_by(aws_credential(backend(**STATIC)))

    assert "accept-encoding" not in signed.headers["authorization"]


async def test_a_signature_needs_the_body_and_takes_the_place_of_the_clients_key():
    credential = aws_credential(backend(**STATIC))

    assert credential.covers_body
    assert {"authorization", "x-api-key", "x-amz-security-token"} <= credential.names


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "bedrock.internal"])
async def test_the_region_is_the_options_the_hosts_or_the_environments(monkeypatch, host):
    of_options = await signed_by(aws_credential(backend(host=host, region="eu-west-1", **STATIC)))
    of_host = await signed_by(aws_credential(backend(**STATIC)))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    of_environment = await signed_by(aws_credential(backend(host=host, **STATIC)))

    verify(of_options, "AKIDSTATIC", token="tok", region="eu-west-1")
    verify(of_host, "AKIDSTATIC", token="tok", region=REGION)
    verify(of_environment, "AKIDSTATIC", token="tok", region="ap-south-1")


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("bedrock-runtime-fips.us-east-1.amazonaws.com", "us-east-1"),
        ("bedrock-runtime.eu-west-3.api.aws", "eu-west-3"),
        ("vpce-0a.bedrock-runtime.us-east-1.vpce.amazonaws.com", "us-east-1"),
        ("localhost", ""),
    ],
)
def test_the_region_that_a_host_names(host, region):
    assert region_of(host) == region


async def test_without_a_region_nothing_is_signed(monkeypatch):
    monkeypatch.setattr(aws, "_LONGEST_WAIT_S", 0.1)
    with pytest.raises(CredentialUnavailable, match="no region"):
        await signed_by(aws_credential(backend(host="localhost", **STATIC)))


# --- bearer keys
async def test_a_bedrock_api_key_is_a_bearer_token():
    credential = aws_credential(backend(api_key="bedrock-key"))

    assert (await signed_by(credential)).headers == {"authorization": "Bearer bedrock-key"}
    assert not credential.covers_body


async def test_the_environments_api_key_is_used_where_the_options_name_no_source():
    environ = {aws.BEARER_VARIABLE: "from-env"}
    bearer = await signed_by(aws_credential(backend(), environ=environ))
    keyed = await signed_by(aws_credential(backend(**STATIC), environ=environ))

    assert bearer.headers == {"authorization": "Bearer from-env"}
    verify(keyed, "AKIDSTATIC", token="tok")


@pytest.mark.parametrize("environ", [{}, {aws.BEARER_VARIABLE: "from-env"}])
async def test_a_clients_own_key_goes_first(environ):
    brought = replace(REQUEST, client_key="theirs")
    credential = aws_credential(backend(**({} if environ else STATIC)), environ=environ)

    assert (await signed_by(credential, brought)).headers == {"authorization": "Bearer theirs"}


# --- sources
async def test_keys_of_a_profile_with_files_read_anew(tmp_path):
    path = tmp_path / "credentials"
    path.write_text("[team]\naws_access_key_id=AKIDFILE\naws_secret_access_key=s3cret\n")
    verify(await signed_by(aws_credential(backend(profile="team"))), "AKIDFILE")

    path.write_text("[team]\naws_access_key_id=AKIDNEW\naws_secret_access_key=s3cret\n")
    verify(await signed_by(aws_credential(backend(profile="team"))), "AKIDNEW")


async def test_keys_of_the_environment(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")

    verify(await signed_by(aws_credential(backend())), "AKIDENV")


async def test_a_secret_from_a_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text("s3cret\n")
    options = {"access_key_id": "AKIDSTATIC", "secret_access_key": f"file:{path}"}

    verify(await signed_by(aws_credential(backend(**options))), "AKIDSTATIC")


async def test_a_role_is_assumed_with_static_keys(sources, url):
    options = {**STATIC, "role_arn": ROLE, "external_id": "ext", "sts_url": url}
    signed = await signed_by(aws_credential(backend(**options)))

    verify(signed, "AKIDSTS1", token="token-1")
    (asked,) = sources.asked
    assert asked["Action"] == "AssumeRole"
    assert (asked["RoleArn"], asked["ExternalId"]) == (ROLE, "ext")
    assert "AKIDSTATIC" in asked["authorization"]


async def test_a_role_is_assumed_with_an_oidc_token(sources, url, tmp_path):
    path = tmp_path / "token"
    path.write_text("oidc-token\n")
    options = {"role_arn": ROLE, "web_identity_token_file": str(path), "sts_url": url}
    signed = await signed_by(aws_credential(backend(role_session_name="me", **options)))

    verify(signed, "AKIDSTS1", token="token-1")
    (asked,) = sources.asked
    assert asked["Action"] == "AssumeRoleWithWebIdentity"
    assert (asked["WebIdentityToken"], asked["RoleSessionName"]) == ("oidc-token", "me")
    assert asked["authorization"] == ""


async def test_irsa_of_the_environment(sources, url, tmp_path, monkeypatch):
    path = tmp_path / "token"
    path.write_text("irsa-token")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(path))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
    monkeypatch.setenv("AWS_REGION", REGION)

    verify(await signed_by(aws_credential(backend())), "AKIDSTS1", token="token-1")
    assert sources.asked[0]["WebIdentityToken"] == "irsa-token"


async def test_a_container_or_a_pod_identity(sources, url, tmp_path, monkeypatch):
    path = tmp_path / "pod-token"
    path.write_text("pod-token")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/container")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(path))

    verify(await signed_by(aws_credential(backend())), "AKIDBOX1", token="token-1")
    assert sources.asked == [{"authorization": "pod-token"}]


async def test_an_ec2_instance(sources, url, monkeypatch):
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)

    verify(await signed_by(aws_credential(backend())), "AKIDEC21", token="token-1")


# --- renewal
class Clock:
    """A clock that its sleepers move."""

    def __init__(self):
        self.now = time.time()

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds
        await asyncio.sleep(0)


def numbered(lives):
    """Make keys with lives in seconds; an exception is raised instead."""
    made = []
    clock = Clock()

    async def fetch():
        life = lives[min(len(made), len(lives) - 1)]
        made.append(life)
        if isinstance(life, Exception):
            raise life
        keys = ReadOnlyCredentials(f"AKID{len(made)}", "s3cret", None)
        return SigV4Signer(keys, region=REGION, service="bedrock"), clock.now + life

    token = RefreshingToken(fetch, clock, source="AWS credentials", sleep=clock.sleep)
    return AwsCredential(token), clock, made


async def test_keys_are_renewed_ahead_of_their_end_and_nobody_waits():
    credential, _, made = numbered([3600.0])
    await credential.start()
    first = credential.sign(REQUEST)
    for _ in range(5000):
        if len(made) > 1:
            break
        # At no time is there no valid key.
        assert isinstance(credential.sign(REQUEST), Signed)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = credential.sign(REQUEST)
    await credential.close()

    assert len(made) > 1
    assert "AKID1/" in first.headers["authorization"]
    assert "AKID1/" not in second.headers["authorization"]


async def test_a_request_waits_for_keys_that_have_expired():
    credential, clock, _ = numbered([60.0])
    assert "AKID1/" in (await credential.sign(REQUEST)).headers["authorization"]
    clock.now += 61
    waiting = credential.sign(REQUEST)

    assert inspect.isawaitable(waiting)
    assert "AKID2/" in (await waiting).headers["authorization"]
    await credential.close()


async def test_a_source_that_is_down_is_named_and_forgiven(
    sources, url, monkeypatch, caplog, capsys
):
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{url}/container")
    sources.is_down = True
    credential = aws_credential(backend())
    monkeypatch.setattr(aws, "_LONGEST_WAIT_S", 0.1)
    await credential.start()
    with pytest.raises(CredentialUnavailable) as raised:
        await credential.sign(REQUEST)

    sources.is_down = False
    monkeypatch.setattr(aws, "_LONGEST_WAIT_S", 20.0)
    signed = await credential.sign(REQUEST)
    await credential.close()

    assert "AWS credentials" in str(raised.value)
    assert "SECRET-QUOTED" not in str(raised.value) + caplog.text + capsys.readouterr().out
    assert "AKIDBOX" in signed.headers["authorization"]


async def test_what_sts_refuses_is_said_by_its_code_alone(
    url, tmp_path, monkeypatch, caplog, capsys
):
    path = tmp_path / "token"
    path.write_text("bad-token")
    monkeypatch.setattr(aws, "_LONGEST_WAIT_S", 0.1)
    options = {"role_arn": ROLE, "web_identity_token_file": str(path), "sts_url": url}

    with pytest.raises(CredentialUnavailable, match="InvalidIdentityToken") as raised:
        await signed_by(aws_credential(backend(**options)))
    assert "SECRET-QUOTED" not in str(raised.value) + caplog.text + capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "no source of AWS's default chain"),
        ({"profile": "missing"}, "ProfileNotFound"),
        ({"role_arn": ROLE, "web_identity_token_file": "/none"}, "FileNotFoundError"),
    ],
)
async def test_a_source_without_keys_says_so(monkeypatch, options, told):
    monkeypatch.setattr(aws, "_LONGEST_WAIT_S", 0.1)

    with pytest.raises(CredentialUnavailable, match=told):
        await signed_by(aws_credential(backend(**options)))


# --- secrets and options
async def test_no_secret_is_shown(url, caplog, capsys):
    caplog.set_level(logging.DEBUG)
    options = AwsOptions(**{**STATIC, "role_arn": ROLE, "sts_url": url})
    credential = aws_credential(backend(**options.model_dump()))
    signed = await signed_by(credential)

    shown = repr((options, credential, signed)) + caplog.text + capsys.readouterr().out
    assert "s3cret" not in shown
    assert "token-1" not in shown
    assert signed.headers["authorization"] not in shown


@pytest.mark.parametrize(
    "options",
    [
        {"access_key_id": "AKID"},
        {"secret_access_key": "s3cret"},
        {"session_token": "tok"},
        {"web_identity_token_file": "/token"},
        {"unknown": 1},
    ],
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValidationError) as raised:
        AwsOptions(**options)

    assert "s3cret" not in "".join(one["msg"] for one in raised.value.errors())


def test_without_botocore_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(aws, "find_spec", lambda _: None)

    with pytest.raises(ValueError, match=r"dragoman\[bedrock\]"):
        aws_credential(backend(**STATIC))
