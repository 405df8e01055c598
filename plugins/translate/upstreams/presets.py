"""Providers that are OpenAI but for some quirks, from a data file."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any

from pipeline.api import Backend, PluginConfig
from pipeline.api.data_files import parse_data
from plugins.translate.credentials.keys import bearer
from plugins.translate.formats import ProviderSpec
from plugins.translate.upstreams.openai import OpenAIUpstream
from plugins.translate.upstreams.quirks import Quirks, quirks_from

_FILE = "presets.yaml"
_NAME = re.compile(r"^(\w+):", re.MULTILINE)


def preset_specs() -> tuple[ProviderSpec, ...]:
    """Return a spec for each preset; the file is parsed when the first is used."""
    return tuple(_spec(name) for name in _NAME.findall(_text()))


@cache
def presets() -> dict[str, dict[str, Any]]:
    """Return the presets by name."""
    loaded: dict[str, dict[str, Any]] = parse_data(_text())
    return loaded


def preset_quirks(name: str) -> Quirks:
    """Return the quirks of a preset."""
    return quirks_from({key: value for key, value in presets()[name].items() if key != "url"})


def _text() -> str:
    return files(__package__ or "").joinpath(_FILE).read_text(encoding="utf-8")


def _spec(name: str) -> ProviderSpec:
    def default_url(_: PluginConfig) -> str:
        return str(presets()[name]["url"])

    def upstream(_: Backend) -> OpenAIUpstream:
        return OpenAIUpstream(preset_quirks(name))

    return ProviderSpec(
        name=name,
        options=PluginConfig,
        default_url=default_url,
        upstream=upstream,
        credential=lambda backend: bearer(backend.api_key),
        passes_other=True,
    )
