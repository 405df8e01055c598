from __future__ import annotations

import fnmatch

from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.schema import MatchConfig, RouteConfig
from pipeline.envoy.dispatch import entries, picked_by_host

PATHS = ("/v1", "/v1/chat", "/v1/chat/x", "/v2")
HOSTS = ("a.org", "x.a.org", "b.org")
MODELS = ("gpt-5", "gpt-5-mini", "claude")


def optional(*values):
    return st.none() | st.sampled_from(values)


def matches():
    return st.builds(
        lambda where, host, headers, model: MatchConfig(
            **where, host=host, headers=headers, model=model
        ),
        st.just({})
        | st.sampled_from(PATHS).map(lambda path: {"path": path})
        | st.sampled_from(("/", *PATHS)).map(lambda path: {"path_prefix": path}),
        optional("a.org", "*.org", "*.a.org"),
        st.dictionaries(st.sampled_from(("x-a", "x-b")), st.sampled_from("01"), max_size=2),
        optional("gpt-*", "*-mini", "claude"),
    )


def routes():
    named = st.lists(matches(), min_size=1, max_size=6)
    return named.map(
        lambda found: [RouteConfig(name=f"r{i}", match=match) for i, match in enumerate(found)]
    )


def visible(match, request):
    """What Envoy is able to check, written apart from the code under test."""
    path, host, headers, _ = request
    return (
        (match.path is None or path == match.path)
        and (match.path_prefix is None or path.startswith(match.path_prefix))
        and (match.host is None or fnmatch.fnmatchcase(host, match.host))
        and all(headers.get(name) == value for name, value in match.headers.items())
    )


def whole(match, request):
    return visible(match, request) and (
        match.model is None or fnmatch.fnmatchcase(request[3], match.model)
    )


requests = st.tuples(
    st.sampled_from(PATHS),
    st.sampled_from(HOSTS),
    st.dictionaries(st.sampled_from(("x-a", "x-b")), st.sampled_from("01")),
    st.sampled_from(MODELS),
)


@given(routes(), requests)
def test_envoy_and_host_together_take_the_first_route_of_the_config_that_matches(table, request):
    expected = next((route.name for route in table if whole(route.match, request)), None)

    entry = next((e for e in entries(table) if visible(e.match, request)), None)
    taken = None
    if entry is not None:
        taken = next((c.name for c in entry.candidates if whole(c.match, request)), None)

    assert taken == expected
    if taken is not None and len(entry.candidates) > 1:
        assert taken in {route.name for route in picked_by_host(table)}


def test_what_the_host_does_not_pick_goes_to_a_route_that_needs_no_model():
    table = [RouteConfig(name="a", match=MatchConfig(model="gpt-*")), RouteConfig(name="b")]

    (entry,) = entries(table)
    (alone,) = entries(table[:1])

    assert entry.name == "a,b"
    assert entry.target == table[1]
    assert alone.target is None


def test_a_route_without_model_is_its_own_and_only_candidate_but_may_be_named():
    table = [RouteConfig(name="a", match=MatchConfig(path="/x")), RouteConfig(name="b")]

    assert [entry.name for entry in entries(table)] == ["a", "b"]
    assert picked_by_host(table) == table
    assert picked_by_host(table[:1]) == []


def test_a_dispatch_needs_what_any_of_its_candidates_needs(plan):
    table = [RouteConfig(name="a", match=MatchConfig(model="gpt-*")), RouteConfig(name="b")]
    plans = {
        "a": plan("a", fails_open=True, budget_s=2.0, response_body=True),
        "b": plan("b", fails_open=False, request_body=False, response_headers=True),
    }

    (entry,) = entries(table)

    assert entry.plan(plans) == plan(
        "a,b", response_headers=True, response_body=True, fails_open=False, budget_s=2.0
    )
