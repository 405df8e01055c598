"""Differences between two configs, as sentences for who runs an Envoy of their own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.schema import Config
from pipeline.envoy.differences import differences
from pipeline.envoy.fingerprint import fingerprint
from pipeline.envoy.restart import effective
from tests.envoy.conftest import make_plan

SECRET = "sk-never-shown"
BACKENDS = {
    "one": {"provider": "openai", "url": "https://one.example.org/v1", "api_key": SECRET},
    "two": {"provider": "openai", "url": "http://two.example.org:8000", "api_key": SECRET},
}
CHAT = {"name": "chat", "match": {"path": "/v1/chat/completions"}, "backends": ["one"]}


def config(*routes, **sections):
    values = {"backends": BACKENDS, "routes": list(routes or [CHAT]), **sections}
    return Config.model_validate(values)


def plans(made, **changes):
    return {one.name: make_plan(one.name, **changes) for one in made.routes}


def told(old, new, old_plans=None, new_plans=None):
    return differences(old, old_plans or plans(old), new, new_plans or plans(new))


CASES = {
    "a new route": (config(CHAT, {**CHAT, "name": "more"}), ["new route more"]),
    "another timeout": (
        config({**CHAT, "timeout": "90s"}),
        ["route chat: its timeout is now 90 s"],
    ),
    "another match": (
        config({**CHAT, "match": {"headers": {"x-key": SECRET}}}),
        ["route chat: what it matches has changed"],
    ),
    "another backend": (
        config({**CHAT, "backends": ["two"]}),
        [
            "backend one: no route leads to it any more",
            "backend two: it is new in the clusters of its routes",
            "route chat: its backends, their order or their weights have changed",
        ],
    ),
    "another address": (
        config(backends={"one": {**BACKENDS["one"], "url": "https://three.example.org/v1"}}),
        ["cluster of backend one: its address is another"],
    ),
    "another host header": (
        config(backends={"one": {**BACKENDS["one"], "host": "other.example.org"}}),
        ["cluster of backend one: the host header that it is sent is another"],
    ),
    "another TLS": (
        config(backends={"one": {**BACKENDS["one"], "tls": {"sni": "other.example.org"}}}),
        ["cluster of backend one: TLS towards it is another"],
    ),
    "retries": (
        config({**CHAT, "retries": {"attempts": 3}}),
        ["route chat: its retries (`retry_policy`, `retry_budget`) have changed"],
    ),
    "limits of silence and of connecting": (
        config({**CHAT, "idle_timeout": "9s", "connect_timeout": "1s", "outlier": {}}),
        [
            "route chat: how long a backend may be silent (`per_try_idle_timeout`) has changed",
            "route chat: its cluster's `connect_timeout` has changed",
            "route chat: its cluster's `outlier_detection` has changed",
        ],
    ),
    "WebSockets": (config({**CHAT, "other": "pass"}), ["route chat: WebSockets may pass now"]),
    "another host": (
        config(server={"address": "host:50051"}),
        ["cluster of the host: its addresses are others"],
    ),
    "slack": (
        config(envoy={"slack": "1s"}),
        ["envoy.slack: the filter's `message_timeout` must change"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_change_of_the_config_is_named(case):
    new, expected = CASES[case]

    assert told(config(), new) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"request_body": False}, "the request body need not be sent any more (NONE)"),
        ({"response_headers": True}, "the response headers must now be sent (SEND)"),
        ({"response_body": True}, "the response body must now be sent (BUFFERED)"),
        ({"fails_open": True}, "without the host it goes on now (failure_mode_allow: true)"),
        ({"budget_s": 2.5}, "the filter's message_timeout must cover 2.5 s and the slack"),
        ({"attempts": True}, "its cluster needs the upstream-level filter"),
        ({"attempt_body": True}, "the body of each attempt must now be sent (BUFFERED)"),
        (
            {"attempt_answer": True},
            "the answer to each attempt must now be sent (SEND, BUFFERED)",
        ),
    ],
)
def test_a_change_of_what_a_route_needs_is_named(change, expected):
    old = config()

    assert told(old, old, new_plans=plans(old, **change)) == [f"route chat: {expected}"]


def test_the_order_of_routes_and_a_route_that_is_gone_are_named():
    second, third = {**CHAT, "name": "second"}, {**CHAT, "name": "third"}

    assert told(config(CHAT, second, third), config(third, CHAT)) == [
        "route second is gone",
        "the order of the routes is another",
    ]


@pytest.mark.parametrize(
    "sections",
    [
        {"backends": {"one": {**BACKENDS["one"], "api_key": "another"}}},
        {"backends": {"one": {**BACKENDS["one"], "url": "https://one.example.org/v2"}}},
        {"limits": {"request_body": "1MiB"}},
        {"envoy": {"concurrency": 3}},
    ],
)
def test_what_the_host_alone_reads_is_no_difference(sections):
    assert told(config(), config(**sections)) == []


NAMES = st.sampled_from(["chat", "more", "other"])
ROUTES = st.lists(
    st.fixed_dictionaries(
        {
            "name": NAMES,
            "match": st.sampled_from(
                [{}, {"path": "/a"}, {"path_prefix": "/a"}, {"headers": {"x-a": SECRET}}]
            ),
            "backends": st.sampled_from(
                [[], ["one"], ["two", "one"], [{"one": 1, "two": 2}], [{"one": 2, "two": 1}]]
            ),
            "retries": st.sampled_from([{}, {"attempts": 2}, {"on": ["reset"]}]),
            "outlier": st.sampled_from([None, {"consecutive_failures": 2}]),
            "idle_timeout": st.sampled_from([None, "1s"]),
            "connect_timeout": st.sampled_from(["1s", "5s"]),
            "timeout": st.sampled_from(["1s", "2s"]),
            "other": st.sampled_from(["refuse", "pass"]),
        }
    ),
    min_size=1,
    unique_by=lambda route: route["name"],
)
SECTIONS = st.fixed_dictionaries(
    {
        "backends": st.fixed_dictionaries(
            {
                name: st.sampled_from(
                    [
                        BACKENDS[name],
                        {**BACKENDS[name], "url": "http://three.example.org/v1"},
                        {"provider": "openai"},
                        {**BACKENDS[name], "host": "h"},
                        {"provider": "openai", "tls": {"sni": "h"}},
                    ]
                )
                for name in BACKENDS
            }
        ),
        "server": st.sampled_from(
            [{}, {"address": "host:50051"}, {"address": "host:50051", "workers": 2}]
        ),
        "envoy": st.sampled_from(
            [{}, {"listen": "0.0.0.0:80"}, {"body_limit": "1MiB"}, {"host_tls": {"name": "h"}}]
        ),
    }
)


@st.composite
def sides(draw):
    made = config(*draw(ROUTES), **draw(SECTIONS))
    needs = {
        one.name: make_plan(
            one.name,
            request_body=draw(st.booleans()),
            fails_open=draw(st.booleans()),
            budget_s=draw(st.sampled_from([1.0, 2.0])),
            attempt_body=draw(st.booleans()),
            attempt_answer=draw(st.booleans()),
        )
        for one in made.routes
    }
    return made, needs


@given(sides(), sides())
def test_there_is_a_difference_exactly_where_the_fingerprints_differ(old, new):
    found = differences(*old, *new)

    assert bool(found) is (fingerprint(*old) != fingerprint(*new))
    assert SECRET not in " ".join(found)
    assert len(set(found)) == len(found)


@given(sides())
def test_a_config_does_not_differ_from_itself(side):
    made, needs = side
    again = {name: replace(plan) for name, plan in needs.items()}

    assert differences(made, needs, made.model_copy(deep=True), again) == []


def test_what_an_envoy_that_runs_cannot_be_told_stays_as_it_was():
    started = config(envoy={"body_limit": "1MiB"})
    new = config({**CHAT, "timeout": "9s"}, envoy={"body_limit": "2MiB", "slack": "1s"})

    kept, stale = effective(started, new)

    assert stale == ["envoy.body_limit"]
    assert kept.envoy == new.envoy.model_copy(update={"body_limit": 2**20})
    assert kept.routes == new.routes
    assert effective(started, started) == (started, [])
