"""Every rule: a set-up that has its fault is found, and our own has none."""

from __future__ import annotations

import copy
import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.doctor.case import Case
from pipeline.doctor.dump import NotADump, read_dump
from pipeline.doctor.expected import expect
from pipeline.doctor.rules import RULES, examine
from pipeline.envoy.bootstrap import bootstrap, snippet
from tests.support.host import runtime_of

CONFIG = """
server: {address: "unix:/run/dragoman/host.sock"}
plugins:
  style: {uses: prompt_decorator, with: {append: [{role: system, content: Be brief.}]}}
  shout: {uses: "tests.support.doctor_plugin:Shout"}
backends:
  one: {provider: openai, url: "http://127.0.0.1:9/v1", api_key: sk-one}
  two: {provider: openai, url: "http://127.0.0.1:9/v1", api_key: sk-two}
routes:
  - {name: chat, match: {path: /v1/chat/completions}, plugins: [style], backends: [one]}
  - {name: spare, match: {path: /spare/v1/chat/completions}, plugins: [shout], backends: [one, two]}
  - name: models
    match: {path_prefix: /v1/, model: "gpt-*"}
    dialect: openai.chat
    plugins: [style]
    backends: [one]
  - name: rest
    match: {path_prefix: /v1/}
    dialect: openai.chat
    backends: [one]
    other: pass
    check: false
"""
FLAG = "envoy.reloadable_features.ext_proc_graceful_grpc_close"


RUNTIME = runtime_of(CONFIG)
RUNTIME.pool.shutdown()
EXPECTED = expect(RUNTIME.config, RUNTIME.plans)
DOCUMENT = bootstrap(RUNTIME.config, RUNTIME.plans, "/ca.pem")


@pytest.fixture
def expected():
    return EXPECTED


@pytest.fixture
def document():
    return copy.deepcopy(DOCUMENT)


def manager(document):
    listener = document["static_resources"]["listeners"][0]
    return listener["filter_chains"][0]["filters"][0]["typed_config"]


def ours(document):
    return manager(document)["http_filters"][0]


def config(document):
    return ours(document)["typed_config"]


def route(document, name):
    routes = manager(document)["route_config"]["virtual_hosts"][0]["routes"]
    return [one for one in routes if one.get("name") == name][-1]


def override(document, name):
    return route(document, name)["typed_per_filter_config"]["dragoman"]


def cluster(document, name="dragoman_host"):
    return next(c for c in document["static_resources"]["clusters"] if c["name"] == name)


def attempt(document):
    options = cluster(document, "route_spare")["typed_extension_protocol_options"]
    return next(iter(options.values()))["http_filters"][0]["typed_config"]


def set_(container, **values):
    container.update(values)


def drop(container, key):
    del container[key]


# Rule: what spoils the bootstrap so that the rule, and it alone, finds something.
FAULTS = {
    "no filter": ("filter_missing", lambda d: drop(manager(d)["http_filters"], 0)),
    "another's filter": (
        "filter_missing",
        lambda d: set_(config(d)["grpc_service"]["envoy_grpc"], cluster_name="somebody"),
    ),
    "no cluster": ("cluster_missing", lambda d: drop(d["static_resources"]["clusters"], 0)),
    "off on a route": ("filter_disabled", lambda d: set_(override(d, "chat"), disabled=True)),
    "off by the route's own config": (
        "filter_disabled",
        lambda d: set_(
            route(d, "chat")["typed_per_filter_config"],
            dragoman={
                "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
                "disabled": True,
            },
        ),
    ),
    "off by default, and not switched on": (
        "filter_disabled",
        lambda d: (set_(ours(d), disabled=True), drop(route(d, "chat"), "typed_per_filter_config")),
    ),
    "no message timeout": ("message_timeout", lambda d: drop(config(d), "message_timeout")),
    "short message timeout": (
        "message_timeout",
        lambda d: set_(config(d), message_timeout="0.010s"),
    ),
    "short timeout of attempts": (
        "message_timeout",
        lambda d: set_(attempt(d), message_timeout="0.010s"),
    ),
    "small request buffer": (
        "buffer_limit",
        lambda d: (
            drop(route(d, "chat"), "request_body_buffer_limit")
            or set_(d["static_resources"]["listeners"][0], per_connection_buffer_limit_bytes=2**20)
        ),
    ),
    "small response buffer": (
        "buffer_limit",
        lambda d: drop(d["static_resources"]["listeners"][0], "per_connection_buffer_limit_bytes"),
    ),
    "no runtime flag": ("runtime_flag", lambda d: drop(d, "layered_runtime")),
    "runtime flag off": (
        "runtime_flag",
        lambda d: set_(d["layered_runtime"]["layers"][0]["static_layer"], **{FLAG: False}),
    ),
    "no request body": (
        "body_mode",
        lambda d: set_(
            override(d, "chat")["overrides"]["processing_mode"], request_body_mode="NONE"
        ),
    ),
    "partial body": (
        "body_mode",
        lambda d: set_(
            override(d, "chat")["overrides"]["processing_mode"],
            request_body_mode="BUFFERED_PARTIAL",
        ),
    ),
    "no answers": (
        "body_mode",
        lambda d: set_(
            override(d, "spare")["overrides"]["processing_mode"], response_header_mode="SKIP"
        ),
    ),
    "no trailers": (
        "body_mode",
        lambda d: drop(
            override(d, "spare")["overrides"]["processing_mode"], "response_trailer_mode"
        ),
    ),
    "no health check": ("health_check", lambda d: drop(cluster(d), "health_checks")),
    "slow health check": (
        "health_check",
        lambda d: drop(cluster(d)["health_checks"][0], "no_traffic_interval"),
    ),
    "rare health check": (
        "health_check",
        lambda d: set_(cluster(d)["health_checks"][0], interval="30s"),
    ),
    "open on a closed route": (
        "fail_policy",
        lambda d: set_(override(d, "chat")["overrides"], failure_mode_allow=True),
    ),
    "open attempts": ("fail_policy", lambda d: set_(attempt(d), failure_mode_allow=True)),
    "metadata dropped": ("metadata_options", lambda d: drop(config(d), "metadata_options")),
    "override not allowed": ("mode_override", lambda d: set_(config(d), allow_mode_override=False)),
    "streamed not among the overrides": (
        "mode_override",
        lambda d: set_(config(d), allowed_override_modes=[{"response_body_mode": "NONE"}]),
    ),
    "attempts without a filter": (
        "attempt_missing",
        lambda d: drop(cluster(d, "route_spare"), "typed_extension_protocol_options"),
    ),
    "another config": (
        "config_drift",
        lambda d: set_(cluster(d)["metadata"]["filter_metadata"]["dragoman"], config="0" * 16),
    ),
    "no fingerprint": ("config_drift", lambda d: drop(cluster(d), "metadata")),
    "two filters": (
        "two_filters",
        lambda d: manager(d)["http_filters"].insert(
            0,
            {
                "name": "other",
                "typed_config": {
                    "@type": config(d)["@type"],
                    "grpc_service": {"envoy_grpc": {"cluster_name": "other"}},
                },
            },
        ),
    ),
    "upgrades everywhere": (
        "upgrades",
        lambda d: set_(manager(d), upgrade_configs=[{"upgrade_type": "websocket"}]),
    ),
    "upgrades on a route": (
        "upgrades",
        lambda d: set_(route(d, "chat")["route"], upgrade_configs=[{"upgrade_type": "websocket"}]),
    ),
    "old Envoy": ("envoy_version", lambda d: set_(d["node"], **built(1, 36, 3))),
    "new Envoy": ("envoy_version", lambda d: set_(d["node"], **built(1, 41, 0))),
}


def built(major, minor, patch):
    version = {"major_number": major, "minor_number": minor, "patch": patch}
    return {"user_agent_build_version": {"version": version}}


def names(findings):
    return {finding.rule for finding in findings}


def test_our_own_bootstrap_has_no_fault(document, expected):
    assert examine(Case(read_dump(document), expected)) == []


def test_without_a_config_our_own_bootstrap_has_no_fault_either(document):
    assert examine(Case(read_dump(document))) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_nothing_beside_it(fault, document, expected):
    rule, spoil = FAULTS[fault]
    spoil(document)

    found = examine(Case(read_dump(document), expected))

    assert names(found) == {rule}
    assert all(one.where and one.what and one.fix for one in found)
    assert all(yaml.safe_load(one.yaml) is not None for one in found if one.yaml)


def test_a_host_that_does_not_answer_is_found(document, expected):
    faults = {"unix:/run/dragoman/host.sock": "cannot be reached"}

    [finding] = examine(Case(read_dump(document), expected, faults=faults))

    assert finding.rule == "host_unreachable"
    assert "unix:/run/dragoman/host.sock cannot be reached" in finding.what


@pytest.mark.parametrize(
    "health", [{"failed_active_health_check": True}, {"eds_health_status": "UNHEALTHY"}]
)
def test_a_host_that_envoy_holds_for_unhealthy_is_found(health, document, expected):
    status = {"address": {"pipe": {"path": "/run/host.sock"}}, "health_status": health}
    clusters = {"cluster_statuses": [{"name": "dragoman_host", "host_statuses": [status]}]}

    [finding] = examine(Case(read_dump(document, clusters=clusters), expected))

    assert finding.rule == "host_unhealthy"
    assert "unix:/run/host.sock" in finding.what


def test_every_rule_has_a_fault_that_it_finds():
    seen = {rule for rule, _ in FAULTS.values()} | {"host_unreachable", "host_unhealthy"}

    assert seen == {rule.__name__ for rule in RULES}


def test_the_fix_of_a_fault_takes_it_away(document, expected):
    del config(document)["message_timeout"]
    [finding] = examine(Case(read_dump(document), expected))

    config(document).update(yaml.safe_load(finding.yaml))

    assert examine(Case(read_dump(document), expected)) == []


def test_a_changed_config_drifts_and_a_changed_option_of_a_plugin_does_not(document):
    for text, is_drift in (
        (CONFIG.replace("gpt-*", "o-*"), True),
        (CONFIG.replace("Be brief.", "Be kind."), False),
    ):
        runtime = runtime_of(text)
        found = examine(Case(read_dump(document), expect(runtime.config, runtime.plans)))
        runtime.pool.shutdown()

        assert ("config_drift" in names(found)) is is_drift


def test_the_runtime_that_envoy_tells_outweighs_what_its_bootstrap_says(document, expected):
    dump = read_dump(document, runtime={"entries": {}})

    assert names(examine(Case(dump, expected))) == {"runtime_flag"}


def test_the_version_comes_from_the_server_where_it_tells(document):
    info = {"version": "abc/1.30.1/Clean/RELEASE/BoringSSL"}

    assert read_dump(document, server_info=info).version == (1, 30, 1)


def test_an_envoy_with_routes_of_its_own_is_judged_by_what_any_route_needs(expected):
    part = snippet(RUNTIME.config, RUNTIME.plans)
    whole = copy.deepcopy(DOCUMENT)
    manager(whole)["http_filters"][0] = part["http_filters"][0]
    manager(whole)["route_config"]["virtual_hosts"][0]["routes"] = [
        {"name": "theirs", "match": {"prefix": "/"}, "route": {"cluster": "theirs"}}
    ]

    assert examine(Case(read_dump(whole), expected)) == []

    config(whole)["processing_mode"]["request_body_mode"] = "NONE"

    assert names(examine(Case(read_dump(whole), expected))) == {"body_mode"}


def test_a_filter_that_is_off_by_default_counts_where_a_route_switches_it_on(document, expected):
    ours(document)["disabled"] = True

    assert "filter_missing" not in names(examine(Case(read_dump(document), expected)))
    assert "filter_disabled" not in names(examine(Case(read_dump(document), expected)))


def test_a_cluster_of_another_name_is_found_by_its_address_or_by_its_name(document, expected):
    cluster(document)["name"] = "ext/0"
    config(document)["grpc_service"] = {"envoy_grpc": {"cluster_name": "ext/0"}}
    attempt(document)["grpc_service"]["envoy_grpc"]["cluster_name"] = "ext/0"

    assert examine(Case(read_dump(document), expected)) == []
    assert examine(Case(read_dump(document), None, "ext/0")) == []


def test_routes_by_reference_are_looked_up_in_the_dump(document, expected):
    table = manager(document).pop("route_config")
    manager(document)["rds"] = {"route_config_name": "dragoman"}
    kind = "type.googleapis.com/envoy.admin.v3."
    dump = {
        "configs": [
            {"@type": f"{kind}BootstrapConfigDump", "bootstrap": document},
            {
                "@type": f"{kind}ListenersConfigDump",
                "dynamic_listeners": [
                    {"active_state": {"listener": one}}
                    for one in document["static_resources"]["listeners"]
                ],
            },
            {
                "@type": f"{kind}RoutesConfigDump",
                "dynamic_route_configs": [{"route_config": table}],
            },
            {
                "@type": f"{kind}ClustersConfigDump",
                "dynamic_active_clusters": [
                    {"cluster": one} for one in document["static_resources"]["clusters"]
                ],
            },
        ]
    }

    assert examine(Case(read_dump(dump), expected)) == []

    table["virtual_hosts"][0]["routes"][0]["typed_per_filter_config"]["dragoman"]["disabled"] = True

    assert names(examine(Case(read_dump(dump), expected))) == {"filter_disabled"}


@pytest.mark.parametrize("value", [None, [], {}, {"configs": 3}, "text", {"configs": [1]}])
def test_what_is_no_dump_is_refused(value):
    with pytest.raises(NotADump):
        read_dump(value)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@settings(max_examples=60)
@given(st.data())
def test_no_rule_trusts_the_shape_of_a_dump(data):
    whole = copy.deepcopy(DOCUMENT)
    places = list(_places(whole))
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places))
        container[key] = data.draw(ODD)
    try:
        dump = read_dump(json.loads(json.dumps(whole)))
    except NotADump:
        return

    examine(Case(dump))
    examine(Case(dump, EXPECTED))


def _places(value):
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(pairs):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)
