from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from pipeline.config.schema import Config
from pipeline.envoy.bootstrap import bootstrap, snippet, to_yaml
from pipeline.envoy.process import validate
from pipeline.errors import ConfigError

BACKENDS = {
    "cloud": {"provider": "openai", "url": "https://api.openai.com/v1"},
    "plain": {"provider": "openai", "url": "http://models.internal/v1"},
    "local": {"provider": "openai", "url": "http://127.0.0.1:8000"},
    "nowhere": {"provider": "openai"},
    "six": {"provider": "openai", "url": "http://[::1]:8000/v1"},
}


def config(*routes, **sections):
    named = [{"name": f"r{index}", **route} for index, route in enumerate(routes)]
    return Config.model_validate({"backends": BACKENDS, "routes": named, **sections})


CASES = {
    "no backend": (config({}), {}),
    "one over TLS": (config({"backends": ["cloud"]}), {}),
    "one plain": (config({"backends": ["plain"]}), {"r0": {"fails_open": True}}),
    "one by address": (config({"backends": ["local"]}), {"r0": {"request_body": False}}),
    "three, TLS and plain": (
        config({"backends": ["cloud", "six", "local"]}),
        {"r0": {"attempts": True, "attempt_body": True, "attempt_answer": True}},
    ),
    "two over TLS, headers only": (
        config({"backends": ["cloud", "plain"]}),
        {"r0": {"attempts": True, "response_headers": True}},
    ),
    "host over TCP": (config({"backends": ["cloud"]}, server={"address": "host:50051"}), {}),
    "models": (
        config(
            {"match": {"path": "/v1/chat/completions", "model": "gpt-*"}, "backends": ["cloud"]},
            {"match": {"path_prefix": "/v1/", "model": "llama*"}, "backends": ["local"]},
            {"match": {"path_prefix": "/v1/"}, "backends": ["plain"]},
        ),
        {},
    ),
    "models alone": (config({"match": {"model": "gpt-*"}, "backends": ["cloud"]}), {}),
    "hosts and headers": (
        config(
            {"match": {"host": "api.example.org", "headers": {"x-team": "a b"}}},
            {"match": {"host": "*.example.org", "path": "/v1/models"}, "backends": ["plain"]},
            {"match": {"host": "[::1]"}},
        ),
        {},
    ),
}


@pytest.fixture
def made(plan):
    def make(case):
        settings, changes = CASES[case]
        plans = {
            route.name: plan(route.name, **changes.get(route.name, {})) for route in settings.routes
        }
        return settings, plans, bootstrap(settings, plans)

    return make


def routes_of(document):
    manager = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    return manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]


def override_of(route):
    return route["typed_per_filter_config"]["dragoman"]["overrides"]


@pytest.mark.e2e
@pytest.mark.parametrize("case", CASES)
def test_envoy_accepts_every_bootstrap_as_yaml(case, made):
    _, _, document = made(case)

    assert validate(yaml.safe_load(to_yaml(document))) is None


@pytest.mark.e2e
@pytest.mark.parametrize("case", ["models", "host over TCP"])
def test_envoy_accepts_the_snippet_inside_a_config_of_ones_own(case, made):
    settings, plans, document = made(case)
    part = snippet(settings, plans)
    resources = document["static_resources"]
    manager = resources["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"] = [*part["http_filters"], manager["http_filters"][-1]]
    manager["route_config"] = {
        "virtual_hosts": [
            {
                "name": "own",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
            }
        ]
    }
    own = {
        "static_resources": {"listeners": resources["listeners"], "clusters": part["clusters"]},
        "layered_runtime": part["layered_runtime"],
    }

    assert validate(own) is None


@pytest.mark.e2e
def test_validate_returns_what_envoy_objects_to(made):
    _, _, document = made("no backend")
    document["static_resources"]["clusters"] = [{"name": "x", "no_such_field": 1}]

    assert "no_such_field" in validate(document)


def test_the_fail_policy_and_the_phases_are_the_routes_own(plan):
    settings = config({"match": {"path": "/open"}}, {"match": {"path": "/closed"}})
    plans = {
        "r0": plan("r0", fails_open=True, request_body=False),
        "r1": plan("r1", response_body=True),
    }

    *_, opened, closed, unmatched = routes_of(bootstrap(settings, plans))

    assert override_of(opened)["failure_mode_allow"] is True
    assert "request_body_mode" not in override_of(opened)["processing_mode"]
    assert override_of(opened)["processing_mode"]["response_header_mode"] == "SKIP"
    assert override_of(closed)["failure_mode_allow"] is False
    assert override_of(closed)["processing_mode"] == {
        "request_header_mode": "SEND",
        "request_body_mode": "BUFFERED",
        "request_trailer_mode": "SKIP",
        "response_header_mode": "SEND",
        "response_body_mode": "BUFFERED",
        "response_trailer_mode": "SEND",
    }
    assert override_of(unmatched)["failure_mode_allow"] is True


def test_envoy_waits_for_the_longest_budget_and_the_slack(plan):
    settings = config({}, {"match": {"path": "/x"}}, envoy={"slack": "250ms"})
    plans = {"r0": plan("r0", budget_s=0.5), "r1": plan("r1", budget_s=2.0)}

    (extension,) = snippet(settings, plans)["http_filters"]

    assert extension["typed_config"]["message_timeout"] == "2.250s"


def test_a_backend_without_url_of_a_provider_without_one_is_a_config_error(plan):
    settings = config({"backends": ["nowhere"]})

    with pytest.raises(ConfigError, match=r"backends\.nowhere\.url: .*openai"):
        bootstrap(settings, {"r0": plan("r0")})


def test_without_the_extra_the_error_has_the_pip_command():
    program = """
import sys
sys.modules["envoy_data_plane"] = None
from pipeline.config.schema import Config
from pipeline.envoy.bootstrap import snippet
from pipeline.errors import ConfigError
try:
    snippet(Config(), {})
except ConfigError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert "pip install 'dragoman[envoy]'" in done.stdout
