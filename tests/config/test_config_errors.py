"""A config that cannot be used is a ConfigError that says where and what, whatever is in it."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.config.load import check_config, load_config
from pipeline.config.source import Source, parse_source
from pipeline.errors import ConfigError

ROUTE = "routes: [{name: r}]\n"
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def problems(text, environment=None):
    with pytest.raises(ConfigError) as caught:
        check_config(parse_source(text, environment or {}, file="d.yaml"))
    return [(one.line, one.key, one.message) for one in caught.value.problems]


def config(text, environment=None):
    return check_config(parse_source(text, environment or {}, file="d.yaml"))


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("routes:\n- name: r\n  tmeout: 3s\n", 3, "routes[0].tmeout", "no such option"),
        ("servr: {}\n" + ROUTE, 1, "servr", "no such option"),
        ("routes:\n- {plugins: []}\n", 2, "routes[0].name", "required"),
        ("routes:\n- name: 7\n", 2, "routes[0].name", "string"),
        ("routes:\n- name: r\n  plugins: [7]\n", 3, "routes[0].plugins[0]", "string"),
        ("routes:\n- name: Not A Name\n", 2, "routes[0].name", "pattern"),
        ("routes: 3\n", 1, "routes", "list"),
        ("plugins: {1: {uses: x}}\n" + ROUTE, 1, "plugins.1", "pattern"),
        (ROUTE + "limits:\n  threads: many\n", 3, "limits.threads", "integer"),
        (ROUTE + "limits:\n  threads: 0\n", 3, "limits.threads", "greater"),
        (ROUTE + "limits:\n  request_body: 5GiB\n", 3, "limits.request_body", "less than"),
        (ROUTE + "telemetry:\n  log_level: loud\n", 3, "telemetry.log_level", "'debug'"),
        (ROUTE + "plugins:\n  p: {uses: x, mode: 101%}\n", 3, "plugins.p.mode", "whole percentage"),
        (ROUTE + "plugins:\n  p: {uses: x, on_error: ajar}\n", 3, "plugins.p.on_error", "'open'"),
        ("routes:\n- name: r\n  match: {path: v1}\n", 3, "routes[0].match.path", "starts with /"),
        (
            "routes:\n- name: r\n  match: {path: /a, path_prefix: /b}\n",
            3,
            "routes[0].match",
            "not both",
        ),
        ("routes:\n- name: r\n- name: r\n", 3, "routes[1].name", "two routes are named 'r'"),
        ("server: {}\n", 1, "routes", "at least one route"),
    ],
)
def test_a_fault_is_told_with_its_file_line_and_key(text, line, key, words):
    [(found_line, found_key, message)] = problems(text)

    assert (found_line, found_key) == (line, key)
    assert words in message


def test_a_problem_reads_as_file_line_key_and_message():
    with pytest.raises(ConfigError) as caught:
        config("routes:\n- name: r\n  nope: 1\n")

    assert str(caught.value) == "d.yaml:3: routes[0].nope: there is no such option"


def test_all_problems_are_told_at_once():
    found = problems("server: {drain: soon}\nroutes:\n- name: r\n  nope: 1\nbackends: {b: {}}\n")

    assert [(line, key) for line, key, _ in found] == [
        (1, "server.drain"),
        (5, "backends.b.provider"),
        (4, "routes[0].nope"),
    ]


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("3", "timeout"),
        ("3 weeks", "timeout"),
        ("-1s", "timeout"),
        ("s", "timeout"),
        ("1.s", "timeout"),
        ("1s2s", "timeout"),
        ("11y", "timeout"),
        ("99999999d", "timeout"),
        ("٣s", "timeout"),
        ("[1s]", "timeout"),
        ("null", "timeout"),
    ],
)
def test_a_bad_duration_is_told(value, key):
    [(line, found, message)] = problems(f"routes:\n- name: r\n  {key}: {value}\n")

    assert (line, found) == (3, f"routes[0].{key}")
    assert "a duration" in message


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("250ms", 0.25), ("1.5s", 1.5), ("5m", 300), ("1h", 3600), ("1d", 86400), ("2 s", 2)],
)
def test_a_duration_is_read_in_seconds(value, seconds):
    found = config(f"routes: [{{name: r, timeout: {value}}}]")

    assert math.isclose(found.routes[0].timeout, seconds)


@pytest.mark.parametrize("value", ["3", "3 MBit", "-1B", "9" * 400 + "GB", "٣B", "true"])
def test_a_bad_size_is_told(value):
    [(line, key, message)] = problems(f"{ROUTE}limits:\n  event: {value}\n")

    assert (line, key) == (3, "limits.event")
    assert "a size" in message


@pytest.mark.parametrize(
    ("value", "size"), [("100B", 100), ("1KB", 1000), ("1.5KiB", 1536), ("2 MiB", 2**21)]
)
def test_a_size_is_read_in_bytes(value, size):
    assert config(f"{ROUTE}limits: {{event: {value}}}").limits.event == size


@pytest.mark.parametrize(
    "value", ["localhost", "h:", ":80", "h:99999", "h:x", "a b:80", "::1:80", "h:80/x", "h:٣"]
)
def test_a_bad_address_is_told(value):
    [(_, key, message)] = problems(f"{ROUTE}server: {{admin: '{value}'}}")

    assert key == "server.admin"
    assert "HOST:PORT" in message


@pytest.mark.parametrize("value", ["127.0.0.1:0", "[::1]:80", "host.name:65535"])
def test_an_address_is_taken_as_it_is(value):
    assert config(f"{ROUTE}server: {{admin: '{value}'}}").server.admin == value


@pytest.mark.parametrize("value", ["unix:", "unix", "h"])
def test_a_grpc_address_is_a_socket_path_or_an_address(value):
    [(_, key, _)] = problems(f"{ROUTE}server: {{address: '{value}'}}")

    assert key == "server.address"
    assert config(f"{ROUTE}server: {{address: 'unix:/a b'}}").server.address == "unix:/a b"


@pytest.mark.parametrize(
    "url",
    [
        "host",
        "ftp://host",
        "http://",
        "http:///v1",
        "http://h?x=1",
        "http://h#x",
        "http://sesame@h",
        "http://:sesame@h",
        "http://u:sesame@h",
        "http://h:99999",
        "http://h:sesame",
        "http://h:0",
        "http://[::1",
        "http://sesame\\u2100@h",
    ],
)
def test_a_bad_backend_url_is_told_without_quoting_it(url):
    [(_, key, message)] = problems(f'{ROUTE}backends: {{b: {{provider: openai, url: "{url}"}}}}')

    assert key == "backends.b.url"
    assert "URL" in message
    assert "sesame" not in message


def test_an_unset_variable_is_told_where_it_is_named_and_with_the_remedy():
    [(line, key, message)] = problems(ROUTE + "server:\n  admin: '${NOWHERE}:80'\n")

    assert (line, key) == (3, "server.admin")
    assert "no variable NOWHERE" in message
    assert "${NOWHERE:-…}" in message


def test_a_variable_is_replaced_and_a_default_stands_in_for_an_unset_one():
    text = ROUTE + "server: {admin: '${HOST:-localhost}:${PORT}'}\n"

    assert config(text, {"PORT": "1"}).server.admin == "localhost:1"
    assert config(text, {"PORT": "1", "HOST": "h"}).server.admin == "h:1"
    assert config(ROUTE + "telemetry: {otlp_endpoint: '${NO:-}'}").telemetry.otlp_endpoint == ""


def test_what_a_variable_holds_is_neither_yaml_nor_another_variable():
    found = parse_source("a: '${A}'", {"A": "{b: ${B}}", "B": "x"})

    assert found.values == {"a": "{b: ${B}}"}


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("routes: []\nroutes: []\n", 2, "routes"),
        ("plugins:\n  a: {uses: x}\n  a: {uses: y}\n", 3, "plugins.a"),
        ("a: {b: 1, 'b': 2}\n", 1, "a.b"),
        ("a:\n- {c: 1,\n   c: 2}\n", 3, "a[0].c"),
    ],
)
def test_a_key_that_is_there_twice_is_told_at_the_second(text, line, key):
    assert problems(text) == [(line, key, "this key is here twice")]


def test_an_unknown_plugin_or_backend_is_told_with_the_nearest_name():
    found = problems(
        "plugins: {guard: {uses: x}}\nbackends: {main: {provider: openai}}\n"
        "routes:\n- name: r\n  plugins: [gaurd]\n  backends: [mian, main, main]\n"
    )

    assert found == [
        (5, "routes[0].plugins[0]", "there is no 'gaurd' under `plugins`; did you mean 'guard'?"),
        (6, "routes[0].backends[0]", "there is no 'mian' under `backends`; did you mean 'main'?"),
        (6, "routes[0].backends[2]", "'main' is in this list twice"),
    ]


def test_a_name_like_no_other_gets_no_suggestion():
    [(_, _, message)] = problems("plugins: {guard: {uses: x}}\nroutes: [{name: r, plugins: [zz]}]")

    assert message == "there is no 'zz' under `plugins`"


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text", "3", "!!set {a}x: ["])
def test_a_config_that_is_no_mapping_is_told(text):
    assert [line for line, _, _ in problems(text)] == [1]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [\n", 3),
        ("a: 1\n\tb: 2\n", 2),
        ("a: *nope\n", 1),
        ("a: 'x\n", 2),
        ("a: 1\n--- \nb: 2\n", 2),
        ("a: \x01\n", None),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(text, line):
    [(found, key, message)] = problems(text)

    assert (found, key) == (line, "")
    assert message.startswith("not valid YAML: ")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("!foo bar", "type '!foo'"),
        ("!!python/object/apply:os.system [x]", "no such option"),
        ("!!python/name:os.system x", "no valid YAML value"),
        ("2024-13-45", "'timestamp'; quote it"),
        ("!!int abc", "'int'"),
        ("!!bool perhaps", "'bool'"),
        ("!!binary 'é'", "'binary'"),
        ("1" * 5000, "'int'"),
        ("=", "'value'"),
        ("{<<: 3}", "`<<` takes a mapping"),
        ("{<<: [{}, 3]}", "`<<` takes a mapping"),
        ("{[a, b]: c}", "a key must be text"),
        ("{{a: b}: c}", "a key must be text"),
    ],
)
def test_a_value_that_yaml_cannot_read_is_told_where_it_stands(value, words):
    [(line, key, message)] = problems(f"{ROUTE}a: {value}\n")

    assert (line, key) == (2, "a")
    assert words in message


def test_an_empty_config_says_that_it_wants_a_route():
    assert [key for _, key, _ in problems("")] == ["routes"]


def test_anchors_and_merge_keys_work_and_own_keys_win_over_merged_ones():
    found = parse_source(
        "one: &one {a: 1, b: 1}\ntwo: &two {b: 2, c: 2}\n"
        "both: {<<: [*one, *two], c: 3}\nafter: {a: 9, <<: *one}\nsame: *one\n",
        {},
    )

    assert found.values["both"] == {"a": 1, "b": 1, "c": 3}
    assert found.values["after"] == {"a": 9, "b": 1}
    assert found.values["same"] == {"a": 1, "b": 1}


def test_a_fault_in_a_merged_value_is_told_where_it_is_written():
    text = (
        "plugins:\n  a: &a\n    uses: x\n    timeout: soon\n  b:\n    <<: *a\n    uses: y\n" + ROUTE
    )

    assert [(line, key) for line, key, _ in problems(text)] == [
        (4, "plugins.a.timeout"),
        (4, "plugins.b.timeout"),
    ]


def bomb(levels, width):
    lines = ["a0: &a0 [x, x]"]
    for level in range(1, levels):
        items = ", ".join([f"*a{level - 1}"] * width)
        lines.append(f"a{level}: &a{level} [{items}]")
    return "\n".join(lines)


def merge_bomb(levels, width):
    lines = ["a0: &a0 {x: 1}"]
    for level in range(1, levels):
        items = ", ".join([f"*a{level - 1}"] * width)
        lines.append(f"a{level}: &a{level} {{<<: [{items}]}}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (bomb(12, 9), "more than 100000 values"),
        (merge_bomb(12, 9), "more than 100000 values"),
        ("a: &a [*a]", "deeper than 64"),
        ("a: &a {b: *a}", "deeper than 64"),
        ("a: &a {<<: *a}", "deeper than 64"),
        ("a: " + "[" * 70 + "]" * 70, "deeper than 64"),
        ("[" * 20_000, "deeper than 64"),
        ("a: " + "{b: " * 20_000, "deeper than 64"),
        ("- " * 5_000 + "x", "deeper than 64"),
    ],
    ids=["laughs", "merges", "self", "self-map", "self-merge", "deep", "open", "maps", "dashes"],
)
@pytest.mark.timeout(20)
def test_a_yaml_bomb_is_an_error_and_no_hang(text, words):
    [(_, _, message)] = problems(text)

    assert words in message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
SECTIONS = st.sampled_from(
    ["server", "envoy", "tenant", "limits", "telemetry", "plugins_dir", "plugins", "backends"]
)
NEAR = st.fixed_dictionaries(
    {
        "routes": JSON
        | st.lists(
            st.dictionaries(
                st.sampled_from(["name", "match", "plugins", "backends", "dialect", "timeout"]),
                JSON,
                max_size=4,
            ),
            max_size=2,
        ),
        "plugins": JSON | st.dictionaries(st.sampled_from(["a", "b"]), JSON),
        "limits": JSON
        | st.dictionaries(st.sampled_from(["event", "threads", "request_body"]), JSON),
        "backends": JSON
        | st.dictionaries(
            st.sampled_from(["a", "b"]),
            st.dictionaries(st.sampled_from(["provider", "url", "api_key", "models"]), JSON),
        ),
    }
)


def only_problems(values):
    try:
        check_config(Source("d.yaml", values))
    except ConfigError as error:
        assert error.problems
        assert all(one.message and str(one).startswith("d.yaml") for one in error.problems)


@QUICK
@given(st.dictionaries(st.text(max_size=8) | SECTIONS, JSON, max_size=3) | NEAR)
@example({"routes": [{"name": "r", "timeout": math.inf}]})
def test_any_document_is_a_config_or_a_config_error(values):
    only_problems(values)


@QUICK
@given(st.dictionaries(st.text(max_size=8) | SECTIONS, JSON, max_size=3) | NEAR)
def test_any_document_reads_the_same_through_yaml(values):
    try:
        text = yaml.safe_dump(values, allow_unicode=False)
        same = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeEncodeError):
        return
    if "${" in text:
        return
    try:
        assert repr(parse_source(text, {}).values) == repr(same)
    except ConfigError as error:
        # A key that YAML takes for something else, or one that is text only once read.
        assert all(one.message for one in error.problems)


@settings(QUICK, max_examples=150)
@given(st.text(max_size=60) | st.text(alphabet="ab:-[]{}&*!'\"<>|\n \t,?%@#$=~0.", max_size=40))
@example("!!timestamp x")
@example("!!float x")
@example("? \n: ")
@example("a: !!omap [x]")
def test_any_text_is_a_config_or_a_config_error(text):
    try:
        source = parse_source(text, {}, file="d.yaml")
    except ConfigError as error:
        assert all(one.message for one in error.problems)
    else:
        only_problems(source.values)


def test_a_config_file_that_cannot_be_read_is_told(tmp_path):
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\xfa")
    for path, words in (
        (tmp_path / "none.yaml", "No such file"),
        (tmp_path, "Is a directory"),
        (binary, "not UTF-8"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(path, {})

        [problem] = caught.value.problems
        assert problem.file == str(path)
        assert words in problem.message
