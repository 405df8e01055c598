"""Failover in Envoy's configuration: priorities, weights, retries, ejection, sockets."""

from __future__ import annotations

import pytest

from pipeline.config.schema import Config
from pipeline.envoy.bootstrap import bootstrap
from pipeline.envoy.failover import client_silence_s
from tests.envoy.conftest import make_plan

NAMES = ("a", "b", "c", "d")
SECURE = {name: {"provider": "openai", "url": f"https://{name}.example.org/v1"} for name in NAMES}


def made(backends, own=None, **settings):
    """Return the cluster of a route, and its retry policy if it has one."""
    route = {"name": "r", "backends": backends, **settings}
    values = {name: {**SECURE[name], **(own or {}).get(name, {})} for name in NAMES}
    config = Config.model_validate({"backends": values, "routes": [route]})
    document = bootstrap(config, {"r": make_plan("r", attempts=True)})["static_resources"]
    [cluster] = [one for one in document["clusters"] if one["name"] == "route_r"]
    [chain] = document["listeners"][0]["filter_chains"]
    table = chain["filters"][0]["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
    return cluster, table[0]["route"].get("retry_policy")


def test_each_entry_is_a_priority_and_weights_are_those_of_its_endpoints():
    cluster, _ = made(["a", {"b": 3, "c": 1}, "d"])

    found = [
        (
            one.get("priority", 0),
            [
                (host["endpoint"]["hostname"], host["load_balancing_weight"])
                for host in one["lb_endpoints"]
            ],
        )
        for one in cluster["load_assignment"]["endpoints"]
    ]
    assert found == [
        (0, [("a.example.org", 1)]),
        (1, [("b.example.org", 3), ("c.example.org", 1)]),
        (2, [("d.example.org", 1)]),
    ]


@pytest.mark.parametrize(
    ("backends", "retries", "expected"),
    [
        (["a", "b", "c"], {}, 2),
        (["a", {"b": 1, "c": 1}], {}, 2),
        (["a", "b"], {"attempts_per_priority": 2}, 3),
        (["a", "b"], {"attempts": 7}, 6),
        (["a"], {"attempts": 3}, 2),
        (["a"], {"attempts_per_priority": 3}, 2),
    ],
)
def test_there_are_as_many_attempts_as_backends_unless_said_otherwise(backends, retries, expected):
    _, policy = made(backends, retries=retries)

    assert policy["num_retries"] == expected


def test_one_backend_is_tried_once():
    assert made(["a"])[1] is None


def test_a_limit_of_silence_holds_for_one_backend_too():
    _, policy = made(["a"], idle_timeout="3s")

    assert policy["num_retries"] == 0
    assert policy["per_try_idle_timeout"] == "3s"


def test_with_a_limit_of_the_first_byte_silence_is_limited_from_the_clients_side():
    # Envoy drops `per_try_idle_timeout` once `per_try_timeout` has passed.
    limits = {"retries": {"per_try_timeout": "2s"}, "idle_timeout": "60s"}
    route = {"name": "r", "backends": ["a", "b"], **limits}
    config = Config.model_validate({"backends": SECURE, "routes": [route]})

    _, policy = made(["a", "b"], **limits)

    assert policy["per_try_timeout"] == "2s"
    assert "per_try_idle_timeout" not in policy
    assert client_silence_s(config.routes[0]) == 60.0


def test_silence_on_the_clients_side_leaves_every_attempt_its_time():
    limits = {"retries": {"per_try_timeout": "10s"}, "idle_timeout": "5s", "timeout": "14s"}
    routes = [
        {"name": "two", "backends": ["a", "b"], **limits},
        {"name": "long", "backends": ["a", "b"], **limits, "timeout": "60s"},
    ]
    config = Config.model_validate({"backends": SECURE, "routes": routes})

    found = [client_silence_s(one) for one in config.routes]

    assert found == [pytest.approx(2 * 5 + 0.25 + 1), pytest.approx(2 * 5 + 0.25 + 1)]


def test_the_causes_of_a_retry_are_envoys():
    _, policy = made(["a", "b"], retries={"on": ["connect", 408, "reset"]})

    assert policy["retry_on"] == "connect-failure,refused-stream,reset,retriable-status-codes"
    assert policy["retriable_status_codes"] == [408]


@pytest.mark.parametrize(
    ("backends", "retries", "longest"),
    [
        (["a"], {"attempts": 2}, "30s"),
        (["a"], {"attempts": 2, "retry_after": "5s"}, "5s"),
        (["a", "b"], {}, None),
        (["a", "b"], {"retry_after": "5s"}, "5s"),
    ],
)
def test_retry_after_is_waited_for_where_the_same_backend_is_asked_again(
    backends, retries, longest
):
    _, policy = made(backends, retries=retries)

    assert policy.get("rate_limited_retry_back_off", {}).get("max_interval") == longest


def test_a_budget_bounds_the_share_of_later_attempts():
    [limits] = made(["a", "b"], retries={"budget_percent": 20})[0]["circuit_breakers"]["thresholds"]

    assert limits["retry_budget"]["budget_percent"] == {"value": 20.0}


def test_nobody_is_left_out_unless_it_is_asked_for():
    assert "outlier_detection" not in made(["a", "b"])[0]


def test_only_failures_in_a_row_lead_to_an_ejection():
    cluster, _ = made(["a", "b"], outlier={"consecutive_failures": 2, "base_ejection": "300ms"})

    found = cluster["outlier_detection"]
    assert found["consecutive_5xx"] == 2
    assert found["enforcing_success_rate"] == 0
    assert found["interval"] == "0.300s"


def socket_of(cluster, index):
    """Return the TLS context that an endpoint's metadata chooses."""
    [host] = cluster["load_assignment"]["endpoints"][index]["lb_endpoints"]
    wanted = host["metadata"]["filter_metadata"].get("envoy.transport_socket_match", {})
    for one in cluster.get("transport_socket_matches", []):
        if one["match"] == wanted:
            return one["transport_socket"]["typed_config"]
    return cluster["transport_socket"]["typed_config"]


def test_backends_that_need_nothing_of_their_own_share_one_socket():
    cluster, _ = made(["a", "b"])

    assert "transport_socket_matches" not in cluster
    assert socket_of(cluster, 0)["auto_host_sni"] is True
    assert socket_of(cluster, 0)["auto_sni_san_validation"] is True


def test_each_backend_speaks_tls_in_its_own_way():
    own = {
        "b": {"tls": {"sni": "b.internal", "ca": "/ca.pem", "cert": "/c.pem", "key": "/k.pem"}},
        "c": {"host": "public.example.org"},
    }
    cluster, _ = made(["a", "b", "c"], own)

    assert socket_of(cluster, 0)["auto_host_sni"] is True
    second = socket_of(cluster, 1)
    context = second["common_tls_context"]
    assert second["sni"] == "b.internal"
    assert context["validation_context"]["trusted_ca"] == {"filename": "/ca.pem"}
    assert context["tls_certificates"][0]["private_key"] == {"filename": "/k.pem"}
    assert socket_of(cluster, 2)["sni"] == "c.example.org"
    hosts = cluster["load_assignment"]["endpoints"]
    assert hosts[2]["lb_endpoints"][0]["endpoint"]["hostname"] == "public.example.org"


@pytest.mark.parametrize("address", ["192.0.2.7", "[2001:db8::7]"])
def test_an_address_is_checked_as_one_and_asked_for_by_no_name(address):
    cluster, _ = made(["a"], {"a": {"url": f"https://{address}/v1"}})

    found = socket_of(cluster, 0)
    [san] = found["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"]
    assert "sni" not in found
    assert san["san_type"] == "IP_ADDRESS"
    assert san["matcher"] == {"exact": address.strip("[]")}


def test_plain_and_secure_backends_go_together():
    cluster, _ = made(["a", "b"], {"b": {"url": "http://b.example.org/v1"}})

    assert "transport_socket" not in cluster
    assert [one["name"] for one in cluster["transport_socket_matches"]] == ["usual"]
