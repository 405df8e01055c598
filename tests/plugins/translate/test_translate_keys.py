"""API keys: where they go, whose they are, and that they stay out of sight."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from pipeline.api import Backend, Headers, Request
from plugins.translate.clients import CLIENTS
from plugins.translate.connection import ProviderConnection
from plugins.translate.credentials.contract import Unsigned
from plugins.translate.credentials.keys import KeyCredential, bearer, brought_key
from plugins.translate.upstreams.openai import SPEC
from tests.support.translate_matrix import Key


def request(client_key=""):
    return Unsigned("POST", "api.example.com", "/v1/x", {}, b"{}", client_key)


@pytest.mark.parametrize(
    ("credential", "headers", "query"),
    [
        (bearer("k1"), {"authorization": "Bearer k1"}, ""),
        (KeyCredential("k1", header="x-api-key"), {"x-api-key": "k1"}, ""),
        (KeyCredential("k1", header="api-key"), {"api-key": "k1"}, ""),
        (KeyCredential("k&1", query="key"), {}, "key=k%261"),
    ],
)
def test_a_key_goes_where_the_provider_wants_it(credential, headers, query):
    signed = credential.sign(request())

    assert (dict(signed.headers), signed.query) == (headers, query)


def test_the_clients_own_key_comes_first():
    assert bearer("k1").sign(request("mine")).headers == {"authorization": "Bearer mine"}
    assert bearer("").sign(request("mine")).headers == {"authorization": "Bearer mine"}


def test_without_any_key_nothing_is_signed():
    signed = bearer("").sign(request())

    assert (dict(signed.headers), signed.query) == ({}, "")


def test_no_header_that_a_key_may_come_in_goes_on():
    for credential in (bearer("k"), KeyCredential("k", query="key")):
        assert {"authorization", "x-api-key", "api-key", "x-goog-api-key"} <= credential.names
    assert "x-own" in KeyCredential("k", header="x-own").names


def test_a_key_is_in_no_repr():
    shown = [
        repr(bearer("k-secret")),
        repr(request("k-secret")),
        repr(bearer("k-secret").sign(request())),
    ]

    assert not any("secret" in one for one in shown)


async def test_a_key_needs_neither_start_nor_body():
    credential = bearer("k")

    await credential.start()
    await credential.close()

    assert credential.covers_body is False


CLIENTS_KEYS = {"authorization": b"Bearer theirs", "x-own": b"named"}


@pytest.mark.parametrize(
    ("credential", "key_header", "brought"),
    [
        (Key(), "", ""),
        (Key(), "x-own", "named"),
        (bearer("ours"), "", "ours"),
        (bearer("ours"), "x-own", "named"),
        (bearer(""), "", "theirs"),
    ],
)
def test_a_clients_key_goes_on_only_where_the_backend_allows_it(credential, key_header, brought):
    spec = replace(SPEC, credential=lambda _: credential)
    url = urlsplit("https://h/v1")
    backend = Backend("b", "openai", url, key_header=key_header, options=SPEC.options())
    request = Request("GET", "/v1/files", "", "gateway", Headers(CLIENTS_KEYS.items()))

    attempt = ProviderConnection(backend, spec, CLIENTS).prepare(request, None)

    if isinstance(credential, Key):
        assert [one.client_key for one in credential.signed] == [brought]
    else:
        assert attempt.headers.set["authorization"] == f"Bearer {brought}"
    assert "x-own" in attempt.headers.remove or not key_header


@pytest.mark.parametrize(
    ("headers", "named", "key"),
    [
        ([("authorization", b"Bearer k1")], "", "k1"),
        ([("authorization", b"bearer  k1 ")], "", "k1"),
        ([("x-api-key", b"k1")], "", "k1"),
        ([("api-key", b"k1")], "", "k1"),
        ([("authorization", b"Bearer other"), ("x-api-key", b"k1")], "", "k1"),
        ([("authorization", b"Basic dTpw")], "", ""),
        ([("x-backend-key", b"k1"), ("authorization", b"Bearer other")], "X-Backend-Key", "k1"),
        ([("authorization", b"Bearer other")], "x-backend-key", ""),
        ([("authorization", b"k1")], "authorization", "k1"),
        ([], "", ""),
    ],
)
def test_the_key_that_a_client_brings_is_found(headers, named, key):
    assert brought_key(Headers(headers), named) == key
