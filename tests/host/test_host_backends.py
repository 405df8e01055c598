"""What a backend is sent: the path below its URL, its name of the model, its own credential."""

from __future__ import annotations

import json

import pytest

from pipeline.config.schema import TenantConfig
from pipeline.errors import ConfigError
from pipeline.host.attempt import HOST_METADATA, AttemptSession
from pipeline.host.names import BACKEND_KEY, METADATA_NAMESPACE
from pipeline.host.runtime import Silent
from pipeline.host.tenancy import tenant_of
from pipeline.host.verdicts import Finish, Proceed
from tests.support.chain import HELLO, Driven, runtime_with


def runtime(*backends, **route):
    named = {f"b{n}": {"provider": "openai", **one} for n, one in enumerate(backends)}
    whole = {"name": "chat", "backends": list(named), "other": "pass", **route}
    return runtime_with({"backends": named, "routes": [whole]})


async def sent(backend, path="/v1/chat/completions", headers=(), body=HELLO, **route):
    verdict = await Driven(runtime(backend, **route)).asked(body, path=path, headers=headers)
    assert isinstance(verdict, Proceed)
    return verdict


@pytest.mark.parametrize(
    ("url", "path", "upstream"),
    [
        ("https://h/v1", "/v1/chat/completions", "/v1/chat/completions"),
        ("https://h/v1/", "/v1/chat/completions", "/v1/chat/completions"),
        ("https://h/openai/v1", "/v1/chat/completions", "/openai/v1/chat/completions"),
        ("https://h/openai/v1", "/acme/v1/chat/completions", "/openai/v1/chat/completions"),
        ("https://h/v1", "/v1/chat/completions?a=1&b=%2F", "/v1/chat/completions?a=1&b=%2F"),
        ("https://h", "/v1/chat/completions", "/chat/completions"),
        ("https://h/v1", "/v1/files/v1/x", "/v1/files/v1/x"),
        ("https://h/base", "/other", "/base/other"),
        ("https://h/base/", "/", "/base/"),
        ("https://h/v1", "/v1/a%20b/\xe9", "/v1/a%20b/\xe9"),
    ],
)
async def test_the_clients_path_goes_below_the_base_url_with_v1_counted_once(url, path, upstream):
    verdict = await sent({"url": url}, path)

    assert verdict.edits.set[":path"] == upstream


async def test_the_providers_own_url_is_taken_where_the_config_names_none():
    verdict = await sent({"provider": "anthropic", "api_key": "k"}, "/v1/messages?beta=true")

    assert verdict.edits.set[":path"] == "/v1/messages?beta=true"


@pytest.mark.parametrize(
    ("provider", "path", "header", "value"),
    [
        ("openai", "/v1/chat/completions", "authorization", "Bearer sesame"),
        ("anthropic", "/v1/messages", "x-api-key", "sesame"),
    ],
)
async def test_a_backends_credential_stands_in_for_every_one_of_the_clients(
    provider, path, header, value
):
    verdict = await sent(
        {"provider": provider, "api_key": "sesame"}, path, body={**HELLO, "max_tokens": 9}
    )

    assert verdict.edits.set[header] == value
    assert verdict.edits.remove >= {"authorization", "x-api-key", "api-key"} - {header}


async def test_without_a_credential_of_its_own_a_backend_gets_the_clients():
    verdict = await sent({}, headers=[("authorization", "Bearer mine")])

    assert verdict.edits.set["authorization"] == "Bearer mine"


async def test_a_model_is_renamed_and_an_unnamed_one_goes_byte_for_byte():
    backend = {"models": {"m": "m-2026"}}

    renamed = await sent(backend, dialect="openai.chat")
    other = await sent(backend, body={**HELLO, "model": "n"}, dialect="openai.chat")

    assert json.loads(renamed.body) == {**HELLO, "model": "m-2026"}
    assert other.body is None


def test_a_keyless_backend_behind_one_with_a_key_is_refused():
    with pytest.raises(ConfigError, match=r"'b1' has no api_key and would be sent that of 'b0'"):
        runtime({"api_key": "sesame"}, {})
    assert runtime({}, {"api_key": "sesame"}).routes["chat"].plan.attempts


def test_among_backends_of_one_priority_none_may_lack_a_key_that_another_has():
    named = {"b0": {"provider": "openai"}, "b1": {"provider": "openai", "api_key": "k"}}
    route = {"name": "chat", "backends": [{"b0": 1, "b1": 1}]}

    with pytest.raises(ConfigError, match=r"'b0' has no api_key and would be sent that of 'b1'"):
        runtime_with({"backends": named, "routes": [route]})


def test_an_unknown_provider_or_dialect_is_told_with_what_there_is():
    with pytest.raises(ConfigError, match=r"no provider 'openia'; did you mean 'openai'\?"):
        runtime({"provider": "openia"})
    with pytest.raises(ConfigError, match=r"there is no dialect 'openai'; there are openai\.chat"):
        runtime_with({"routes": [{"name": "r", "dialect": "openai"}]})


def metadata(name):
    return (
        f'filter_metadata {{ key: "{METADATA_NAMESPACE}" value {{ fields {{ key: "{BACKEND_KEY}" '
        f'value {{ string_value: "{name}" }} }} }} }}'
    )


PAIRS = (
    (":method", b"POST"),
    (":path", b"/v1/chat/completions"),
    ("content-type", b"application/json"),
    ("authorization", b"Bearer of-the-attempt-before"),
)


async def attempt(compiled, attributes, body=HELLO):
    session = AttemptSession(compiled, compiled.routes["chat"], Silent())
    verdict = await session.request_headers(PAIRS, ends=False, attributes=attributes)
    if isinstance(verdict, Proceed) and verdict.wish == "whole":
        verdict = await session.request_body(json.dumps(body).encode())
    return verdict


async def test_each_attempt_is_prepared_for_the_backend_of_its_host():
    compiled = runtime(
        {"url": "http://one/v1", "api_key": "k0"},
        {"url": "http://two/x/v1", "api_key": "k1", "models": {"m": "other"}},
    )

    one = await attempt(compiled, {HOST_METADATA: metadata("b0")})
    two = await attempt(compiled, {HOST_METADATA: metadata("b1")})

    assert one.edits.set["authorization"] == "Bearer k0"
    assert one.edits.set[":path"] == "/v1/chat/completions"
    assert one.body is None
    assert two.edits.set["authorization"] == "Bearer k1"
    assert two.edits.set[":path"] == "/x/v1/chat/completions"
    assert json.loads(two.body)["model"] == "other"


@pytest.mark.parametrize(
    "text", ["", "nonsense", metadata("b9"), metadata("B0"), 'key: "dragoman"']
)
async def test_an_attempt_at_an_unknown_host_is_refused(text):
    verdict = await attempt(runtime({"api_key": "k"}, {"api_key": "k"}), {HOST_METADATA: text})

    assert isinstance(verdict, Finish)
    assert (verdict.status, verdict.code) == (503, "unknown_backend")


# --- tenancy

KEYED = (("authorization", b"Bearer sesame"), ("x-tenant", b"red"))


def test_a_trusted_header_names_the_tenant():
    assert tenant_of(TenantConfig(header="x-tenant"), KEYED) == "red"


def test_without_the_header_a_hash_of_the_credential_is_the_tenant():
    for pairs in ((*KEYED[:1],), (*KEYED[:1], ("x-tenant", b""))):
        tenant = tenant_of(TenantConfig(header="x-tenant"), pairs)

        assert tenant.startswith("key-")
        assert "sesame" not in tenant
        assert tenant == tenant_of(TenantConfig(), KEYED)


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key"])
def test_every_header_that_carries_a_credential_counts(header):
    one = tenant_of(TenantConfig(), ((header, b"a"),))

    assert one is not None
    assert one != tenant_of(TenantConfig(), ((header, b"b"),))


def test_where_nothing_names_one_there_is_no_tenant():
    assert tenant_of(TenantConfig(credential=False), KEYED) is None
    assert tenant_of(TenantConfig(), (("authorization", b""),)) is None


def test_a_long_or_unreadable_name_is_cut_and_kept_readable():
    tenant = tenant_of(TenantConfig(header="x-tenant"), (("x-tenant", b"\xff" * 300),))

    assert tenant == "�" * 256
