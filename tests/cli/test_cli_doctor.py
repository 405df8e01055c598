"""`dragoman doctor` over a file."""

from __future__ import annotations

import json

import pytest

from pipeline.cli.options import compiled
from pipeline.envoy.bootstrap import bootstrap, to_yaml


@pytest.fixture
def document(folder):
    with compiled(folder / "dragoman.yaml") as runtime:
        return bootstrap(runtime.config, runtime.plans, "/ca.pem")


def config_of(document):
    listener = document["static_resources"]["listeners"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return manager["http_filters"][0]["typed_config"]


@pytest.mark.parametrize("write", [json.dumps, to_yaml])
def test_our_own_bootstrap_passes_as_json_and_as_yaml(dragoman, folder, document, write):
    (folder / "dump").write_text(write(document))

    result = dragoman("doctor", "--dump", "dump")

    assert "nothing found by" in result.output


def test_a_finding_says_what_where_and_what_to_put(dragoman, folder, document):
    del config_of(document)["message_timeout"]
    (folder / "dump.json").write_text(json.dumps(document))

    result = dragoman("doctor", "--dump", "dump.json", exit_code=1)

    assert "error message_timeout message_timeout is not set" in result.output
    assert "where filter dragoman, listener dragoman" in result.output
    assert "        message_timeout: 1.300s" in result.output
    assert "dump.json: 1 error, 0 warning, 0 info" in result.output


def test_machines_get_json(dragoman, folder, document):
    del document["layered_runtime"]
    (folder / "dump.json").write_text(json.dumps(document))

    [finding] = json.loads(dragoman("doctor", "--dump", "dump.json", "--json").output)

    assert finding["rule"] == "runtime_flag"
    assert finding["severity"] == "warning"
    assert "static_layer" in finding["yaml"]


def test_without_a_config_it_says_what_was_not_compared(dragoman, folder, document):
    (folder / "dump.json").write_text(json.dumps(document))

    result = dragoman("doctor", "--dump", "dump.json", "--config", "none.yaml")

    assert "No config" in result.output


def test_what_is_no_dump_is_an_error(dragoman, folder):
    (folder / "dump.json").write_text("[1]")

    assert (
        "neither Envoy's /config_dump nor a bootstrap"
        in dragoman("doctor", "--dump", "dump.json", exit_code=1).output
    )


def test_an_envoy_that_does_not_answer_is_an_error(dragoman):
    result = dragoman("doctor", "--admin", "127.0.0.1:9", exit_code=1)

    assert "cannot read Envoy's admin endpoint http://127.0.0.1:9" in result.output


def test_two_sources_are_a_wrong_command_line(dragoman, folder):
    (folder / "dump.json").write_text("{}")

    dragoman("doctor", "--dump", "dump.json", "--admin", "127.0.0.1:9", exit_code=2)
