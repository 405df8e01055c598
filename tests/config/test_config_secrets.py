"""A secret is read from the environment or a file and shows nowhere but where it is used."""

from __future__ import annotations

import os
import traceback

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipeline.config.identity import content_hash, secret_files
from pipeline.config.load import check_config, load_config
from pipeline.config.source import Source, parse_source
from pipeline.errors import ConfigError
from pipeline.host.compile import compile_config

ROUTE = "routes: [{name: r, backends: [b]}]\n"
# The prefix keeps a secret from being part of something else by chance.
SECRETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30).map(
    lambda text: f"sesame{text}".replace("${", "$")
)


def backend(key):
    return Source(
        "d.yaml",
        {
            "routes": [{"name": "r", "backends": ["b"]}],
            "backends": {"b": {"provider": "openai", "api_key": key}},
        },
    )


def test_a_relative_file_is_beside_the_config_and_not_where_we_are(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "b").write_text("beside-the-config")
    (tmp_path / "dragoman.yaml").write_text(
        f"{ROUTE}backends: {{b: {{provider: openai, api_key: file:keys/b}}}}"
    )
    monkeypatch.chdir(tmp_path / "elsewhere")

    config, source = load_config(tmp_path / "dragoman.yaml", {})

    assert config.backends["b"].api_key.get_secret_value() == "beside-the-config"
    assert secret_files(source) == [tmp_path / "keys" / "b"]
    before = content_hash(source)
    (tmp_path / "keys" / "b").write_text("another")
    assert content_hash(source) != before


def problem(text, environment=None):
    with pytest.raises(ConfigError) as caught:
        check_config(parse_source(text, environment or {}, file="d.yaml"))
    [found] = caught.value.problems
    return found


@settings(max_examples=50, deadline=None)
@given(SECRETS)
def test_a_secret_is_in_no_repr_or_str_of_a_config(secret):
    source = Source(
        None,
        {
            "routes": [{"name": "r", "backends": ["b"]}],
            "backends": {"b": {"provider": "openai", "api_key": secret}},
            "plugins": {"p": {"uses": "x", "with": {"password": secret}}},
        },
    )

    config = check_config(source)

    for shown in (repr(config), str(config), repr(source), str(source)):
        assert secret not in shown
    assert config.backends["b"].api_key.get_secret_value() == secret


@settings(max_examples=25, deadline=None)
@given(SECRETS)
def test_a_secret_is_in_no_repr_of_what_is_compiled(secret):
    source = backend(secret)
    runtime = compile_config(check_config(source), source)

    assert secret not in repr(runtime)
    [used] = (link.backend for link in runtime.routes["r"].links)
    assert secret not in repr(used)
    assert used.api_key == secret


@settings(max_examples=50, deadline=None)
@given(
    SECRETS,
    st.sampled_from(
        [
            "server: {drain: '%'}",
            "server: {admin: '%'}",
            "limits: {event: '%'}",
            "limits: {threads: '%'}",
            "telemetry: {log_level: '%'}",
            "plugins: {p: {uses: 'x', mode: '%'}}",
            "plugins: {p: {uses: 'x', on_error: '%'}}",
            "backends: {b: {provider: openai, url: 'http://u:%@h'}}",
            "backends: {b: {provider: openai, url: 'http://%'}}",
            "backends: {b: {provider: openai, api_key: ['%']}}",
            "backends: {b: {provider: openai, models: '%'}}",
            "backends: {b: {provider: openai, api_key: {x: '%'}}}",
        ],
    ),
)
def test_a_value_is_in_no_error_whichever_key_it_was_put_under(secret, template):
    assume("'" not in secret)
    text = ROUTE.replace("[b]", "[]") + template.replace("%", secret)
    try:
        check_config(parse_source(text, {}, file="d.yaml"))
    except ConfigError as error:
        assert secret not in str(error)
        assert secret not in "".join(traceback.format_exception(error))


@settings(max_examples=100, deadline=None)
@given(
    SECRETS.map(lambda text: f"{text}-and-more"),
    st.sampled_from(
        [
            "routes: [{name: r, plugins: ['${V}']}]",
            "routes: [{name: r, backends: [['${V}', b]]}]",
            "routes: [{name: '${V}'}, {name: '${V}'}]",
            "routes: [{name: r, dialect: '${V}'}]",
            "routes: [{name: r, dialect: 'x-${V}'}]",
            "{routes: [{name: r, backends: [b]}], backends: {b: {provider: '${V}'}}}",
            "{routes: [{name: r, backends: [b]}], backends: {b: {provider: openai, url: '${V}'}}}",
            "{routes: [{name: r, plugins: [p]}], plugins: {p: {uses: '${V}'}}}",
            "{routes: [{name: r, plugins: [p]}], plugins: {p: {uses: 'a:${V}'}}}",
            "{routes: [{name: r}], inference: {models: {m: {model: '${V}'}}, remote: '${V}'}}",
        ],
    ),
)
def test_a_value_of_the_environment_is_in_no_error_whichever_key_it_was_put_under(secret, text):
    try:
        source = parse_source(text, {"V": secret}, file="d.yaml")
        compile_config(check_config(source), source)
    except ConfigError as error:
        assert secret not in str(error)


def test_the_variable_is_named_in_the_place_of_its_value():
    text = "routes: [{name: r, plugins: ['${V}', '${V:-a}']}]"

    with pytest.raises(ConfigError) as caught:
        check_config(parse_source(text, {"V": "sesame"}, file="d.yaml"))

    [first, second, _] = [found.message for found in caught.value.problems]
    assert first == "there is no '${V}' under `plugins`"
    assert second == "there is no '${V:-a}' under `plugins`"


def test_a_word_of_a_message_stays_though_a_variable_has_that_value():
    found = problem("routes: [{name: r, plugins: ['${V}']}]", {"V": "no"})

    assert found.message == "there is no '${V}' under `plugins`"


def test_a_secret_of_a_file_is_read_without_the_line_end(tmp_path):
    (tmp_path / "key").write_text("sesame\n")

    config = check_config(backend(f"file:{tmp_path}/key"))

    assert config.backends["b"].api_key.get_secret_value() == "sesame"


def test_a_secret_file_that_is_missing_is_told_with_its_path(tmp_path):
    found = problem(f"{ROUTE}backends:\n  b: {{provider: openai, api_key: file:{tmp_path}/none}}")

    assert (found.line, found.key) == (3, "backends.b.api_key")
    assert (
        found.message == f"cannot read the secret file {tmp_path}/none: No such file or directory"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_secret_file_that_may_not_be_read_is_told(tmp_path):
    (tmp_path / "key").write_text("sesame")
    (tmp_path / "key").chmod(0)

    found = problem(f"{ROUTE}backends: {{b: {{provider: openai, api_key: file:{tmp_path}/key}}}}")

    assert "Permission denied" in found.message


def test_a_secret_file_that_is_a_folder_is_told(tmp_path):
    found = problem(f"{ROUTE}backends: {{b: {{provider: openai, api_key: file:{tmp_path}}}}}")

    assert "Is a directory" in found.message


def test_a_secret_file_that_is_empty_is_no_missing_key(tmp_path):
    (tmp_path / "key").write_text("\n")

    found = problem(f"{ROUTE}backends: {{b: {{provider: openai, api_key: file:{tmp_path}/key}}}}")

    assert found.message == f"the secret file {tmp_path}/key is empty"


def test_a_secret_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "key").write_bytes(b"\xff\xfe")

    found = problem(f"{ROUTE}backends: {{b: {{provider: openai, api_key: file:{tmp_path}/key}}}}")

    assert "not UTF-8" in found.message


@pytest.mark.parametrize("secret", ["two\nlines", "a\rb", "bell\x07", "x" * 70_000])
def test_a_credential_that_no_header_can_carry_is_told_at_once_and_not_quoted(secret):
    with pytest.raises(ConfigError) as caught:
        check_config(backend(secret))

    [found] = caught.value.problems
    assert found.key == "backends.b.api_key"
    assert "not legal in an HTTP header" in found.message
    assert secret not in found.message


def test_an_empty_credential_is_none():
    source = backend("")

    [link] = compile_config(check_config(source), source).routes["r"].links

    assert link.backend.api_key == ""
