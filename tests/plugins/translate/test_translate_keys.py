"""API keys: where they go, whose they are, and that they stay out of sight."""

from __future__ import annotations

import pytest

from pipeline.api import Headers
from plugins.translate.credentials.contract import Unsigned
from plugins.translate.credentials.keys import KeyCredential, bearer, brought_key


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
