"""The keys of failover: the order of backends, retries, ejection, TLS of a backend."""

from __future__ import annotations

import pytest

from pipeline.config.load import check_config
from pipeline.config.source import parse_source
from pipeline.errors import ConfigError

BACKENDS = "backends: {a: {provider: openai}, b: {provider: openai}, c: {provider: openai}}\n"


def route(text, backends=BACKENDS):
    document = backends + f"routes:\n  - {{name: r, {text}}}\n"
    return check_config(parse_source(document, {})).routes[0]


def problem(text, backends=BACKENDS):
    with pytest.raises(ConfigError) as caught:
        route(text, backends)
    [found] = caught.value.problems
    return found.key, found.message


def test_a_list_of_names_is_an_order_of_priorities():
    made = route("backends: [b, a, c]")

    assert made.backends == [{"b": 1}, {"a": 1}, {"c": 1}]
    assert made.backend_names == ["b", "a", "c"]


def test_names_with_weights_share_a_priority():
    made = route("backends: [c, {a: 3, b: 1}]")

    assert made.backends == [{"c": 1}, {"a": 3, "b": 1}]
    assert made.backend_names == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("[a, {b: 0, c: 1}]", "backends[1].b", "greater than or equal to 1"),
        ("[{a: x}]", "backends[0].a", "valid integer"),
        ("[a, 7]", "backends[1]", "a backend's name, or names with weights"),
        ("[a, []]", "backends[1]", "a backend's name, or names with weights"),
        ("[{}]", "backends[0]", "at least 1"),
        ("[{a: 1, d: 1}]", "backends[0].d", "there is no 'd' under `backends`"),
        ("[b, {a: 1, b: 1}]", "backends[1].b", "'b' is in this list twice"),
    ],
)
def test_a_wrong_order_is_named_at_its_key(text, key, message):
    found, said = problem(f"backends: {text}")

    assert found == f"routes[0].{key}"
    assert message in said


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("retries: {on: [teapot]}", "retries.on[0]", "fails on 5xx, connect, reset, or a status"),
        ("retries: {on: [200]}", "retries.on[0]", "a status from 400 to 599"),
        ("retries: {on: []}", "retries.on", "at least 1"),
        ("retries: {attempts: 0}", "retries.attempts", "greater than or equal to 1"),
        ("retries: {per_try_timeout: 0s}", "retries.per_try_timeout", "greater than 0"),
        ("retries: {back_off: {base: 2s, max: 1s}}", "retries.back_off", "`max` is not below"),
        ("outlier: {base_ejection: 10m}", "outlier", "`max_ejection` is not below"),
        ("connect_timeout: 0s", "connect_timeout", "greater than 0"),
        ("idle_timeout: 0s", "idle_timeout", "greater than 0"),
    ],
)
def test_wrong_limits_are_named_at_their_key(text, key, message):
    found, said = problem(text)

    assert found == f"routes[0].{key}"
    assert message in said


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("tls: {cert: x}", "tls", "give `cert` and `key` together"),
        ("tls: {sni: 'a b'}", "tls.sni", "pattern"),
        ("tls: {}, url: http://x.example.org", "", "a `url` that starts with https://"),
        ("host: 'a b'", "host", "pattern"),
    ],
)
def test_wrong_settings_of_a_backend_are_named_at_their_key(text, key, message):
    found, said = problem("backends: [a]", f"backends: {{a: {{provider: openai, {text}}}}}\n")

    assert found == f"backends.a.{key}".removesuffix(".")
    assert message in said
