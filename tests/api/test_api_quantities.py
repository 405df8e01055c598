"""The types of options that plugins and providers of anybody's may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, SecretStr, ValidationError

from pipeline.api import Duration, PluginConfig, Secret, Size
from pipeline.config import quantities
from pipeline.config.quantities import SOURCE
from pipeline.config.schema import BackendConfig, Config
from pipeline.config.source import parse_source
from pipeline.host.backends import make_links
from tests.support.pages import blocks

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-provider.md"


class Options(PluginConfig):
    """A stranger's options."""

    token: Secret = Field(SecretStr(""), description="Its token.")
    spare: Secret | None = Field(None, description="Another.")
    wait: Duration = Field(1.0, description="How long to wait.")
    room: Size = Field(1, description="How much to hold.")


class Stranger:
    """A provider that keeps the options that it is given."""

    Options = Options

    def default_url(self, options):
        return "http://h"

    def connect(self, backend):
        return backend.options


def test_quantities_have_units_and_are_plain_numbers():
    options = Options(wait="1.5m", room="2KiB")

    assert (options.wait, options.room) == (90.0, 2048)


@pytest.mark.parametrize("wrong", [{"wait": "5"}, {"wait": 5}, {"room": "1 mile"}])
def test_a_quantity_without_its_unit_is_refused(wrong):
    with pytest.raises(ValidationError, match="a number and a unit"):
        Options(**wrong)


def test_a_secret_shows_in_no_repr_or_dump():
    options = Options(token="hush", spare="hush")

    assert "hush" not in f"{options!r} {options} {options.model_dump_json()}"
    assert isinstance(options.token, SecretStr)


def test_a_secret_may_be_in_a_file(tmp_path):
    (tmp_path / "token").write_text("hush\n")

    assert Options(token=f"file:{tmp_path}/token").token.get_secret_value() == "hush"
    with pytest.raises(ValidationError, match="cannot read the secret file"):
        Options(token=f"file:{tmp_path}/absent")


def test_a_providers_secret_files_are_beside_the_config(tmp_path):
    (tmp_path / "token").write_text("hush")
    (tmp_path / "spare").write_text("whisper")
    text = "backends: {b: {provider: stranger, token: 'file:token', spare: 'file:spare'}}"
    source = parse_source(text, {}, file=str(tmp_path / "dragoman.yaml"))
    config = Config.model_validate(source.values, context={SOURCE: source})
    assert isinstance(config.backends["b"], BackendConfig)

    link = make_links(config, source, {"stranger": Stranger()})["b"]

    assert link.connection.token.get_secret_value() == "hush"
    assert {"hush", "whisper"} <= set(link.secrets)


def test_the_pages_options_are_what_it_says():
    [text] = [one.text for one in blocks(PAGE) if one.language == "python"]
    module = {"__name__": "page"}
    exec(compile(text, PAGE.name, "exec", dont_inherit=True), module)

    made = module["Options"](token="hush", wait="500ms", longest="1MiB")

    assert (made.token.get_secret_value(), made.wait, made.longest) == ("hush", 0.5, 2**20)


@pytest.mark.parametrize("name", ["Duration", "Secret", "Size"])
def test_the_configs_own_are_the_same(name):
    assert getattr(quantities, name) is {"Duration": Duration, "Secret": Secret, "Size": Size}[name]
