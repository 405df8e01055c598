"""URLs of stores."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugins.semantic_cache.stores import InvalidAddress, StoreOptions, make_store
from plugins.semantic_cache.stores.address import parse

_SECRET = "s3cr3t-w0rd"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory", "memory"),
        ("sqlite:///var/lib/cache.db", "sqlite:/var/lib/cache.db"),
        ("sqlite:////var/lib/cache.db", "sqlite:/var/lib/cache.db"),
        ("sqlite:cache.db", "sqlite:cache.db"),
        ("redis://cache", "redis://cache:6379/0"),
        ("redis://[::1]:7000/3", "redis://[::1]:7000/3"),
        (f"rediss://ann:{_SECRET}@cache:6380/", "rediss://cache:6380/0"),
        ("redis+unix:///run/redis.sock", "redis+unix:/run/redis.sock"),
        ("redis+sentinel://a,b:26380/main", "redis+sentinel://a:26379,b:26380/main"),
        (f"rediss+sentinel://:{_SECRET}@a/main/2", "rediss+sentinel://a:26379/main"),
        ("redis+cluster://a,b:7001", "redis+cluster://a:6379,b:7001/0"),
        (f"rediss+cluster://ann:{_SECRET}@a", "rediss+cluster://a:6379/0"),
    ],
)
def test_a_url_is_taken_apart_and_said_without_credentials(url, said):
    address = parse(url)

    assert str(address) == said
    assert _SECRET not in repr(address)


def test_credentials_and_what_is_served_are_read_from_the_url():
    address = parse("rediss+sentinel://ann:p%40ss%2Fw@a,b/main/2")

    assert (address.username, address.password) == ("ann", "p@ss/w")
    assert (address.service, address.db, address.is_tls) == ("main", 2, True)
    assert parse("redis://:word@a").password == "word"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "postgres://a",
        "redis:a",
        "redis+other://a",
        "redis://a,b",
        "redis://a/x",
        "redis://a:0",
        "redis://a:99999",
        "redis://a b",
        f"redis://{_SECRET}@/0",
        f"redis://ann:{_SECRET}@a/0?ssl_cert_reqs=none",
        f"redis://ann:{_SECRET}/x@a",
        "redis+sentinel://a",
        "redis+cluster://a/3",
        "sqlite:",
        "sqlite:///",
        "sqlite://cache.db",
        "redis+unix:///",
    ],
)
def test_what_names_no_store_is_refused_without_repeating_it(url):
    with pytest.raises(InvalidAddress) as refused:
        make_store(url)

    assert _SECRET not in str(refused.value)
    assert isinstance(refused.value, ValueError)


@pytest.mark.parametrize("namespace", ["", "a b", "a{b}", "a:b", "é", "x" * 101])
def test_a_namespace_that_could_meet_anothers_keys_is_refused(namespace):
    with pytest.raises(InvalidAddress, match="namespace"):
        make_store("memory", StoreOptions(namespace=namespace))


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text):
    for url in (text, f"redis://{text}", f"sqlite://{text}", f"redis+sentinel://{text}"):
        try:
            parse(url)
        except InvalidAddress:
            continue


def test_options_never_show_passwords():
    options = StoreOptions(password=_SECRET, sentinel_password=_SECRET)

    assert _SECRET not in repr(options)
