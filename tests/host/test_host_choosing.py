"""Which plugin runs for whom, and which route a request takes: conditions, roll-out, matching."""

from __future__ import annotations

import fnmatch
import time
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.api import Exchange, Headers, Refuse, Request, Signals
from pipeline.config.schema import MatchConfig
from pipeline.errors import ConfigError
from pipeline.host.conditions import Condition
from pipeline.host.rollout import is_enforced, share_of_mode
from pipeline.host.routing import compile_matcher, first_match
from pipeline.host.verdicts import Finish, Proceed
from tests.support.chain import HELLO, Driven, plugin, runtime_with
from tests.support.host import error_of

REFUSING = plugin(on_request=lambda self, exchange: Refuse(403, "refused", "no"))

# --- conditions


def exchange(headers=()):
    return Exchange(
        id="i",
        route="chat",
        tenant=None,
        request=Request("GET", "/a", "", "h", Headers(headers)),
        dialect=None,
        deadline_s=0.0,
        signals=Signals({}),
    )


def test_a_condition_whose_loops_go_on_for_too_long_fails_to_evaluate():
    condition = Condition("headers.all(a, headers.all(b, headers.all(c, true)))")

    assert condition.holds(exchange([("x-a", b"1")]))
    with pytest.raises(LookupError):
        condition.holds(exchange([(f"x-{number}", b"1") for number in range(30)]))


@pytest.mark.parametrize(
    "text",
    ["", "1 +", "modle == 'x'", "path", "1 + 1", "path == 3", "headers.x > 1", "((", "\ud800"],
)
def test_a_condition_that_gives_no_truth_is_refused_with_its_key(text):
    with pytest.raises(ConfigError) as caught:
        runtime_with(p=(REFUSING, {"when": text}))

    assert [one.key for one in caught.value.problems] == ["plugins.p.when"]


@pytest.mark.parametrize(
    "text",
    [
        "stream",
        "!stream && path == '/x'",
        "model.startsWith('gpt')",
        '"\\"" == model || "x" == "y"',
        "['m'].exists(x, x == model)",
    ],
)
def test_a_condition_on_the_body_is_refused_for_a_hook_before_the_body(text):
    early = plugin(on_request_headers=lambda self, exchange: None)

    with pytest.raises(ConfigError, match="no `model` or `stream` here"):
        runtime_with(p=(early, {"when": text}))
    assert runtime_with(p=(REFUSING, {"when": text})).instances["p"].when.needs_body


@pytest.mark.parametrize(
    "text", ["path == '/model'", "headers['stream'] == 'model'", 'tenant == "stream"', "true"]
)
def test_a_word_in_a_string_is_no_condition_on_the_body(text):
    assert not Condition(text).needs_body


@pytest.mark.parametrize(
    ("when", "runs"),
    [
        ("route == 'chat' && method == 'POST' && path == '/v1/chat/completions'", True),
        ("headers['x-team'] == 'red' && model == 'm' && !stream", True),
        ("tenant.startsWith('key-')", True),
        ("model == 'other'", False),
        ("'x-none' in headers", False),
        ("headers['x-twice'] == '1'", True),
    ],
)
async def test_a_plugin_runs_where_its_condition_holds(when, runs):
    driven = Driven(runtime_with(p=(REFUSING, {"when": when})))

    verdict = await driven.asked(
        headers=[
            ("x-team", "red"),
            ("authorization", "Bearer k"),
            ("x-twice", "1"),
            ("x-twice", "2"),
        ]
    )

    assert isinstance(verdict, Finish) == runs


@pytest.mark.parametrize(("on_error", "runs"), [("closed", True), ("open", False)])
@pytest.mark.parametrize("when", ["headers['x-team'] == 'red'", "1 / (size(tenant)) == 1"])
async def test_a_condition_that_fails_runs_what_fails_closed_and_skips_what_fails_open(
    when, on_error, runs
):
    driven = Driven(runtime_with(p=(REFUSING, {"when": when, "on_error": on_error})))

    assert isinstance(await driven.asked(), Finish) == runs


PIECES = (
    "route method path tenant model stream headers 'x' 1 0 2.5 true null == != < && || ! + - / % "
    "( ) [ ] { } , . ? : in size has .matches( .startsWith( [0] .all(x, timestamp( 'a b'a' r'\\' "
    '""" // \\ \x00 \n é \U0001f600'
)
WORDS = st.sampled_from(PIECES.split(" "))


@settings(max_examples=250, deadline=None)
@given(st.text(max_size=20) | st.lists(WORDS, max_size=9).map(" ".join))
@example("(" * 5000)
@example("!" * 5000 + "true")
@example("path.matches('((a+)+)+$')")
@example("'\ud800' == path")
def test_any_text_is_a_condition_or_a_value_error(text):
    try:
        condition = Condition(text)
    except ValueError as error:
        assert str(error)
        return
    for one in (exchange(), exchange([("x", b"\xff\xfe"), ("", b"")])):
        with suppress(LookupError):
            assert condition.holds(one) in {True, False}


# --- roll-out

TENANTS = [f"tenant-{n}" for n in range(2000)]


@given(st.text(max_size=20), st.text(max_size=20), st.integers(0, 100), st.integers(0, 100))
def test_raising_a_share_only_adds_tenants_and_each_stays_where_it_is(name, who, one, other):
    low, high = sorted((one, other))

    assert is_enforced(low, name, who) <= is_enforced(high, name, who)
    assert is_enforced(low, name, who) == is_enforced(low, name, who)
    assert not is_enforced(0, name, who)
    assert is_enforced(100, name, who)


@pytest.mark.parametrize("share", [1, 10, 50, 90])
def test_about_the_share_of_many_tenants_is_enforced(share):
    enforced = sum(is_enforced(share, "guard", who) for who in TENANTS)

    assert abs(enforced / len(TENANTS) - share / 100) < 0.035


def test_each_instance_draws_its_own_tenants():
    both = sum(is_enforced(50, "a", who) and is_enforced(50, "b", who) for who in TENANTS)

    assert abs(both / len(TENANTS) - 0.25) < 0.04


@pytest.mark.parametrize(("mode", "share"), [("enforce", 100), ("shadow", 0), ("7%", 7)])
def test_a_mode_is_a_share(mode, share):
    assert share_of_mode(mode) == share


async def test_a_tenant_of_the_share_is_refused_every_time_and_others_never():
    runtime = runtime_with({"tenant": {"header": "x-tenant"}}, guard=(REFUSING, {"mode": "40%"}))

    for who in TENANTS[:30]:
        refused = [
            isinstance(await Driven(runtime).asked(headers=[("x-tenant", who)]), Finish)
            for _ in range(2)
        ]
        assert refused == [is_enforced(40, "guard", who)] * 2


# --- routing


def request(path="/v1/chat/completions", host="h", headers=()):
    return Request("POST", path, "", host, Headers(headers))


@pytest.mark.parametrize(
    ("wanted", "host", "matches"),
    [
        ("api.test", "api.test", True),
        ("api.test", "API.test:8080", True),
        ("API.test", "api.test", True),
        ("api.test", "xapi.test", False),
        ("api.test", "api.test.", False),
        ("*.test", "api.test:1", True),
        ("*.test", "a.b.test", True),
        ("*.test", "test", False),
        ("*.test", "atest", False),
        ("[::1]", "[::1]:80", True),
    ],
)
def test_a_host_matches_exactly_or_by_its_suffix_whatever_the_port(wanted, host, matches):
    assert compile_matcher(MatchConfig(host=wanted)).outside(request(host=host)) == matches


@settings(max_examples=300)
@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_a_model_glob_matches_as_the_shell_would(pattern, model):
    matches = compile_matcher(MatchConfig(model=pattern)).model

    assert matches(model) == fnmatch.fnmatchcase(model, pattern)


@pytest.mark.parametrize(
    ("pattern", "model", "matches"),
    [
        ("gpt-*", "gpt-5", True),
        ("gpt-*", "my-gpt-5", False),
        ("*", "", True),
        ("*", "x" * 5000, True),
        ("gpt.5", "gptx5", False),
        ("gpt[5]?", "gpt[5]?", True),
        ("a*", "a\nb", True),
        ("a", "a\n", False),
    ],
)
def test_only_the_star_of_a_model_glob_is_special(pattern, model, matches):
    assert compile_matcher(MatchConfig(model=pattern)).model(model) == matches


def test_no_model_of_a_client_makes_a_glob_slow():
    matches = compile_matcher(MatchConfig(model="*a*a*a*a*a*a*a*a*b")).model
    started = time.perf_counter()

    assert not matches("a" * 20_000)
    assert time.perf_counter() - started < 0.5


PATHS = st.sampled_from(["/v1", "/v1/a", "/v1/ab", "/w"])
HOSTS = st.sampled_from(["a.test", "b.test", "*.test", "test"])
MODELS = st.sampled_from(["m", "m*", "*n", "*"])
TEAMS = st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"]), max_size=2)
MATCHES = st.builds(
    lambda path, prefix, host, headers, model: MatchConfig(
        path=path,
        path_prefix=None if path else prefix,
        host=host,
        headers=headers,
        model=model,
    ),
    st.none() | PATHS,
    st.none() | PATHS,
    st.none() | HOSTS,
    TEAMS,
    st.none() | MODELS,
)


def naive(match, asked, model):
    host = asked.host.split(":")[0]
    return all(
        [
            match.path in {None, asked.path},
            match.path_prefix is None or asked.path[: len(match.path_prefix)] == match.path_prefix,
            match.host is None or fnmatch.fnmatchcase(host, match.host),
            set(match.headers.items()) <= {(k, v.decode()) for k, v in asked.headers.pairs},
            match.model is None or fnmatch.fnmatchcase(model, match.model),
        ]
    )


@settings(max_examples=200)
@given(
    st.lists(MATCHES, max_size=5),
    PATHS,
    st.sampled_from(["a.test", "a.test:8080", "test", "c.test"]),
    TEAMS,
    st.sampled_from(["m", "mn", "n", ""]),
)
def test_the_first_route_that_matches_is_taken(matches, path, host, headers, model):
    asked = request(path, host, [(k, v.encode()) for k, v in headers.items()])
    candidates = [(compile_matcher(match), n) for n, match in enumerate(matches)]
    expected = [n for n, match in enumerate(matches) if naive(match, asked, model)]

    assert first_match(candidates, asked, model) == (expected[0] if expected else None)


def answering(code):
    return plugin(on_request=lambda self, exchange: Refuse(403, code, "this one"))


async def test_the_model_in_the_body_chooses_among_the_routes_that_match_outside():
    runtime = runtime_with(
        {
            "routes": [
                {"name": "a", "match": {"model": "gpt-*"}, "plugins": ["a"]},
                {"name": "b", "match": {"path_prefix": "/v1"}, "plugins": ["b"]},
            ]
        },
        a=answering("route_a"),
        b=answering("route_b"),
    )

    codes = [
        error_of(await Driven(runtime).asked({**HELLO, "model": model}))["code"]
        for model in ("gpt-5", "claude")
    ]

    assert codes == ["route_a", "route_b"]


async def test_a_request_that_no_route_takes_is_not_found():
    runtime = runtime_with({"routes": [{"name": "a", "match": {"model": "gpt-*"}}]})

    verdict = await Driven(runtime).asked({**HELLO, "model": "claude"})

    assert (error_of(verdict)["code"], verdict.status) == ("route_not_found", 404)


async def test_a_route_lets_through_what_is_no_call_only_where_it_says_so():
    for other, kind in (("pass", Proceed), ("refuse", Finish)):
        driven = Driven(
            runtime_with({"routes": [{"name": "r", "other": other, "plugins": ["p"]}]}, p=REFUSING)
        )

        verdict = await driven.asked(b"", path="/v1/files")

        assert isinstance(verdict, kind)
        assert other == "pass" or error_of(verdict)["code"] == "not_an_llm_call"
