"""The resources of a running Envoy: what keeps its name, and how long the filter waits."""

from __future__ import annotations

import json

import pytest

from pipeline.config.schema import Config
from pipeline.envoy.bootstrap import bootstrap, resources, watching
from pipeline.envoy.fingerprint import fingerprint
from pipeline.envoy.resources import patient
from tests.envoy.conftest import make_plan

BACKENDS = {
    "one": {"provider": "openai", "url": "http://one.example.org"},
    "two": {"provider": "openai", "url": "http://two.example.org"},
}


def config(chat=("one",), other=("two",), **settings):
    routes = [
        {"name": "chat", "match": {"path": "/chat"}, "backends": list(chat), **settings},
        {"name": "other", "match": {"path": "/other"}, "backends": list(other)},
    ]
    return Config.model_validate({"backends": BACKENDS, "routes": routes})


def made(settings, **plans):
    needs = {one.name: make_plan(one.name) for one in settings.routes}
    return resources(settings, needs | plans)


def clusters_of(found):
    """Cluster names by route, as the routes name them."""
    [host] = found.routes["virtual_hosts"]
    return {one["name"]: one["route"]["cluster"] for one in host["routes"] if "route" in one}


def test_every_route_leads_to_a_cluster_that_is_there():
    found = made(config())

    assert set(clusters_of(found).values()) == set(found.clusters)
    for name, cluster in found.clusters.items():
        assert cluster["name"] == name == cluster["load_assignment"]["cluster_name"]


def test_a_cluster_that_changes_is_another_and_the_rest_keep_their_names():
    before, after = clusters_of(made(config())), clusters_of(made(config(chat=["two"])))

    assert before["chat"] != after["chat"]
    assert before["other"] == after["other"]


def test_metrics_of_a_route_go_on_under_one_name():
    names = {one["alt_stat_name"] for one in made(config()).clusters.values()}

    assert names == {"route_chat", "route_other"}


def test_the_routes_say_which_config_they_are_of():
    settings = config()
    needs = {one.name: make_plan(one.name) for one in settings.routes}
    found = resources(settings, needs)

    expected = {"dragoman": {"config": fingerprint(settings, needs)}}
    assert found.routes["metadata"]["filter_metadata"] == expected


@pytest.mark.parametrize("turned", [False, True])
def test_a_patient_filter_has_the_longer_of_both_timeouts(turned):
    short = made(config(timeout="900s"), chat=make_plan("chat", budget_s=0.5))
    long = made(config(), chat=make_plan("chat", budget_s=10.0))
    found = patient(long, short) if turned else patient(short, long)

    assert found.filter["typed_config"]["message_timeout"] == "10.050s"
    assert found.filter["typed_config"]["max_message_timeout"] == "900s"
    assert found.routes == (long if turned else short).routes


def test_an_exchange_may_need_its_cluster_for_its_budgets_and_its_timeout():
    found = made(config(timeout="400s"), chat=make_plan("chat", budget_s=2.0))

    assert found.linger_s == pytest.approx(404.1)


def test_what_changes_with_a_config_is_not_in_the_bootstrap_that_watches(tmp_path):
    plans = {name: make_plan(name) for name in ("chat", "other")}
    changed = config(chat=["two", "one"], timeout="7s")
    needs = plans | {"chat": make_plan("chat", attempts=True, response_body=True, budget_s=9.0)}

    assert watching(config(), plans, tmp_path) == watching(changed, needs, tmp_path)


def test_the_static_document_has_no_file_in_it():
    plans = {name: make_plan(name) for name in ("chat", "other")}
    text = json.dumps(bootstrap(config(), plans))

    assert "path_config_source" not in text
    assert '"cluster": "route_chat"' in text
