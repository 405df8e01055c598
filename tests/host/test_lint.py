"""Lints over compiled configs; the plugins are local modules that declare what they are."""

from __future__ import annotations

import textwrap

import pytest

from pipeline.config.load import check_config
from pipeline.config.schema import MatchConfig
from pipeline.config.source import parse_source
from pipeline.host.compile import compile_config
from pipeline.host.lint import RULES, lint
from pipeline.host.overlap import covers

_PLUGIN = """
from pipeline.api import Plugin, PluginConfig


class Local(Plugin[PluginConfig]):
    traits = frozenset({traits!r})
    on_error = {on_error!r}
    read_only = {read_only}
"""
_HOOK = """
    def {hook}(self, {argument}):
        return None
"""


@pytest.fixture
def plugin(tmp_path):
    def write(name, traits=(), hooks=("on_request",), on_error="closed", read_only=False):
        code = _PLUGIN.format(traits=tuple(traits), on_error=on_error, read_only=read_only)
        for hook in hooks:
            argument = "register" if hook.startswith("register_") else "exchange"
            code += _HOOK.format(hook=hook, argument=argument)
        (tmp_path / f"{name}.py").write_text(code)

    write("guard", ["guard"])
    write("cache", ["cache"])
    write("plain")
    return write


@pytest.fixture
def findings(tmp_path, plugin):
    def find(text):
        text = f"plugins_dir: {tmp_path}\n" + textwrap.dedent(text)
        source = parse_source(text, {}, file="dragoman.yaml")
        runtime = compile_config(check_config(source), source)
        try:
            return lint(runtime)
        finally:
            runtime.pool.shutdown()

    return find


def summary(lints):
    return [(one.rule, one.severity, one.problem.line, one.problem.key) for one in lints]


def test_a_sound_config_has_no_findings(findings):
    found = findings("""
        plugins:
          g: {uses: guard}
          c: {uses: cache}
        backends:
          b: {provider: openai}
        routes:
          - {name: r, match: {path: /v1/chat/completions}, plugins: [g, c], backends: [b]}
    """)

    assert found == []


def test_a_cache_before_a_guard_is_found_where_the_cache_stands(findings):
    found = findings("""
        plugins:
          c: {uses: cache}
          g: {uses: guard}
        routes:
          - name: r
            plugins:
              - c
              - g
    """)

    assert summary(found) == [("cache-before-guard", "warning", 9, "routes[0].plugins[0]")]
    assert "move 'g' before it" in found[0].problem.message
    assert found[0].routes == ("r",)


def test_a_masker_wants_a_restorer_somewhere_in_its_route(findings, plugin):
    plugin("masker", ["masker"])
    plugin("restorer", ["restorer"])
    config = """
        plugins:
          m: {uses: masker}
          r: {uses: restorer}
        routes:
          - {name: with, match: {path: /a}, plugins: [m, r]}
          - {name: without, match: {path: /b}, plugins: [m]}
    """

    assert [(one.rule, one.routes) for one in findings(config)] == [
        ("masker-without-restorer", ("without",))
    ]


def test_a_plugin_that_masks_and_restores_is_enough(findings, plugin):
    plugin("pii", ["masker", "restorer"])

    assert findings("plugins: {p: {uses: pii}}\nroutes: [{name: r, plugins: [p]}]") == []


@pytest.mark.parametrize(
    ("policy", "rule", "severity"),
    [
        ("on_error: open", "guard-fails-open", "warning"),
        ("mode: shadow", "guard-not-enforced", "info"),
        ("mode: 20%", "guard-not-enforced", "info"),
        ("when: 'true'", "guard-conditional", "info"),
    ],
)
def test_a_guard_with_a_weaker_policy_is_found_at_that_policy(findings, policy, rule, severity):
    key = policy.partition(":")[0]
    found = findings(f"""
        plugins:
          g:
            uses: guard
            {policy}
        routes:
          - {{name: r, plugins: [g]}}
    """)

    assert summary(found) == [(rule, severity, 6, f"plugins.g.{key}")]


def test_a_guard_that_fails_open_by_its_own_default_is_found_at_the_instance(findings, plugin):
    plugin("weak", ["guard"], on_error="open")
    found = findings("""
        plugins:
          g: {uses: weak}
        routes: [{name: r, plugins: [g]}]
    """)

    assert summary(found) == [("guard-fails-open", "warning", 4, "plugins.g.on_error")]


def test_what_no_route_uses_is_found_but_not_what_registers(findings, plugin):
    plugin("signals", hooks=["register_signals"])
    found = findings("""
        plugins:
          idle: {uses: plain}
          signals: {uses: signals}
        backends:
          spare: {provider: openai}
        routes: [{name: r}]
    """)

    assert summary(found) == [
        ("unused-instance", "warning", 4, "plugins.idle"),
        ("unused-backend", "warning", 7, "backends.spare"),
    ]


@pytest.mark.parametrize(
    ("hooks", "read_only", "mode", "is_held"),
    [
        (["on_response"], False, "enforce", True),
        (["on_response", "on_response_event"], False, "enforce", False),
        (["on_response"], True, "enforce", False),
        (["on_response"], False, "shadow", False),
    ],
)
def test_a_plugin_that_holds_streams_back_is_found(
    findings, plugin, hooks, read_only, mode, is_held
):
    plugin("whole", hooks=hooks, read_only=read_only)
    found = findings(f"""
        plugins:
          w: {{uses: whole, mode: {mode}}}
        routes: [{{name: r, plugins: [w]}}]
    """)

    assert [one.rule for one in found] == (["stream-held-back"] if is_held else [])


def test_other_pass_on_a_route_with_a_guard_is_found(findings):
    found = findings("""
        plugins: {g: {uses: guard}}
        routes:
          - name: r
            plugins: [g]
            other: pass
    """)

    assert summary(found) == [("other-passes-guard", "warning", 7, "routes[0].other")]


def test_check_false_has_no_effect_where_a_plugin_reads_calls(findings):
    found = findings("""
        plugins: {p: {uses: plain}}
        routes:
          - {name: reads, match: {path: /a}, check: false, plugins: [p]}
          - {name: reads-nothing, match: {path: /b}, check: false}
    """)

    assert [(one.rule, one.routes) for one in found] == [("check-has-no-effect", ("reads",))]


def test_a_route_behind_one_that_matches_all_it_does_is_found(findings):
    found = findings("""
        routes:
          - {name: wide, match: {path_prefix: /v1/}}
          - {name: hidden, match: {path: /v1/chat/completions}}
          - {name: seen, match: {path: /v2/chat}}
    """)

    assert summary(found) == [("unreachable-route", "warning", 5, "routes[1].match")]


def test_a_route_matched_by_model_is_told_what_that_costs(findings):
    found = findings("routes:\n  - {name: r, match: {model: gpt-*}}")

    assert summary(found) == [("matched-by-model", "info", 3, "routes[0].match.model")]


def test_rule_names_are_unique():
    names = [name for name, _, _ in RULES]

    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({}, {}, True),
        ({}, {"path": "/a", "model": "m"}, True),
        ({"path": "/a"}, {}, False),
        ({"path": "/a"}, {"path": "/a"}, True),
        ({"path": "/a"}, {"path_prefix": "/a"}, False),
        ({"path_prefix": "/a"}, {"path": "/a/b"}, True),
        ({"path_prefix": "/a/b"}, {"path_prefix": "/a"}, False),
        ({"host": "*.x.org"}, {"host": "A.x.org"}, True),
        ({"host": "*.x.org"}, {"host": "*.a.x.org"}, True),
        ({"host": "a.x.org"}, {"host": "*.x.org"}, False),
        ({"host": "a.x.org"}, {}, False),
        ({"headers": {"a": "1"}}, {"headers": {"a": "1", "b": "2"}}, True),
        ({"headers": {"a": "1"}}, {"headers": {"a": "2"}}, False),
        ({"model": "*"}, {"model": "gpt-5"}, True),
        ({"model": "gpt-*"}, {"model": "gpt-5*"}, True),
        ({"model": "gpt-*"}, {"model": "o*"}, False),
        ({"model": "gpt-5"}, {"model": "gpt-5-mini"}, False),
        ({"model": "*"}, {}, False),
    ],
)
def test_covers_says_whether_the_first_match_leaves_nothing_to_the_second(first, second, expected):
    assert covers(MatchConfig(**first), MatchConfig(**second)) is expected
