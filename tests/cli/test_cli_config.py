"""The commands about the config: check, plugins, envoy, config schema; and where it comes from."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml


def test_check_of_a_sound_config_exits_with_0_and_counts_its_routes(dragoman):
    output = dragoman("check").output

    assert "✓ dragoman.yaml: 3 routes, no errors, 0 warnings" in output
    assert "dragoman.yaml:4: info: plugins.second.mode: the guard 'second'" in output


def test_check_prints_every_error_as_file_line_key_message(dragoman, folder):
    (folder / "bad.yaml").write_text(
        "server:\n  drain: 5\nplugins:\n  a: {uses: nothing_of_the_kind}\n"
    )
    (folder / "worse.yaml").write_text("server:\n  drain: 5\n  port: 1\n")

    assert "worse.yaml:2: server.drain: a duration has a number and a unit" in (
        dragoman("check", "--config", "worse.yaml", exit_code=1).output
    )
    lines = dragoman("check", "--config", "worse.yaml", exit_code=1).output.splitlines()
    assert lines[1] == "worse.yaml:3: server.port: there is no such option"
    assert lines[-1] == "✗ worse.yaml: 2 errors"


def test_check_json_is_a_list_of_problems(dragoman, folder):
    (folder / "bad.yaml").write_text("server:\n  port: 1\n")
    result = dragoman("check", "--json", "--config", "bad.yaml", exit_code=1)

    assert json.loads(result.stdout) == [
        {
            "severity": "error",
            "rule": "",
            "file": "bad.yaml",
            "line": 2,
            "key": "server.port",
            "message": "there is no such option",
        }
    ]


def test_check_strict_fails_on_a_warning(dragoman, folder):
    (folder / "idle.yaml").write_text("backends: {b: {provider: openai}}\nroutes: [{name: r}]\n")

    output = dragoman("check", "--config", "idle.yaml").output
    assert "idle.yaml:1: warning: backends.b: no route uses 'b'" in output
    dragoman("check", "--config", "idle.yaml", "--strict", exit_code=1)


@pytest.mark.parametrize(
    "arguments",
    [
        ["plugins"],
        ["envoy"],
        ["explain", "chat"],
        ["explain", "--request", "r.json"],
        ["serve"],
        ["run"],
    ],
)
def test_a_config_that_is_not_there_is_a_problem_not_a_traceback(dragoman, folder, arguments):
    (folder / "r.json").write_text("{}")
    result = dragoman(*arguments, "--config", "gone.yaml", exit_code=1)

    assert result.stderr == "gone.yaml: cannot read the config: No such file or directory\n"
    assert result.stdout == ""


def test_a_problem_is_json_where_json_was_asked_for(dragoman):
    result = dragoman("plugins", "--json", "--config", "gone.yaml", exit_code=1)

    assert [problem["file"] for problem in json.loads(result.stdout)] == ["gone.yaml"]


def test_the_config_may_come_from_the_environment(dragoman, folder, monkeypatch):
    (folder / "other.yaml").write_text("routes: [{name: other}]\n")
    monkeypatch.setenv("DRAGOMAN_CONFIG", "other.yaml")

    assert "other.yaml: 1 route," in dragoman("check").output


def test_plugins_lists_instances_with_hooks_routes_and_policies(dragoman):
    rows = {
        row["name"]: row for row in json.loads(dragoman("plugins", "--json").stdout)["configured"]
    }

    assert rows["second"] == {
        "name": "second",
        "uses": "watch",
        "distribution": rows["guard"]["distribution"],
        "version": "",
        "traits": ["guard"],
        "hooks": ["on_request"],
        "routes": ["chat"],
        "read_only": True,
        "blocking": False,
        "timeout_s": 0.25,
        "on_error": "closed",
        "mode": "shadow",
        "when": 'tenant != "nobody"',
    }
    assert rows["loud"]["hooks"] == ["register_commands", "on_request", "on_response"]
    table = dragoman("plugins").output
    assert "timeout 250ms" in table
    assert "on_response_event" in table


def test_plugins_lists_installed_ones_that_no_instance_uses(dragoman, folder):
    (folder / "one.yaml").write_text(
        "plugins:\n  d: {uses: prompt_decorator, with: {append: [{role: user, content: x}]}}\n"
        "routes: [{name: r, plugins: [d]}]\n"
    )
    listed = json.loads(dragoman("plugins", "--json", "--config", "one.yaml").stdout)

    assert [row["distribution"] for row in listed["configured"]] == ["dragoman"]
    names = {row["name"] for row in listed["installed"]}
    assert "prompt_template" in names
    assert "prompt_decorator" not in names


def test_plugins_needs_no_config_to_list_what_is_installed(dragoman, folder):
    (folder / "dragoman.yaml").unlink()

    assert "prompt_template (dragoman" in dragoman("plugins").output.replace("\n", " ")


def test_envoy_prints_the_whole_bootstrap_or_a_snippet_in_both_formats(dragoman):
    whole = yaml.safe_load(dragoman("envoy").stdout)
    snippet = json.loads(dragoman("envoy", "--snippet", "--format", "json").stdout)

    assert {"node", "admin", "static_resources"} <= whole.keys()
    assert "http_filters" in snippet
    assert json.loads(dragoman("envoy", "--format", "json").stdout) == whole


def test_the_schema_accepts_the_config_and_refuses_an_unknown_key(dragoman, folder):
    schema = json.loads(dragoman("config", "schema").stdout)
    config = yaml.safe_load((folder / "dragoman.yaml").read_text())
    jsonschema.validate(config, schema)

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**config, "sever": {}}, schema)
    assert schema["$defs"]["RouteConfig"]["properties"]["check"]["description"]
