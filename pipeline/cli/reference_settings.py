"""The reference pages of settings: the config's keys, and the options of built-in plugins."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from pipeline.api.provider import Provider
from pipeline.cli.tables import table
from pipeline.cli.words import bytes_words, seconds_words
from pipeline.config.failover import Cause, Shares
from pipeline.config.quantities import Address, Duration, GrpcAddress, Secret, Size
from pipeline.config.schema import Config
from pipeline.config.section import HeaderName, Name
from pipeline.config.workers import Workers
from pipeline.host.instances import HOOKS
from pipeline.host.loading import find, installed, installed_providers

_NAMED: tuple[tuple[Any, str], ...] = (
    (Duration, "duration"),
    (Size, "size"),
    (Secret, "secret"),
    (SecretStr, "secret"),
    (Address, "`host:port`"),
    (GrpcAddress, "`unix:/path` or `host:port`"),
    (Workers, "integer or `auto`"),
    (Name, "name"),
    (HeaderName, "header name"),
    (Shares, "name, or mapping of name to weight"),
    (Cause, "status, `5xx`, `connect` or `reset`"),
)
_PLAIN = {str: "text", bool: "true or false", int: "integer", float: "number", Any: "any value"}


def config_page() -> list[str]:
    """Return the lines of the config's page."""
    intro = (
        "One YAML file. `${VAR}` is the environment's, `${VAR:-default}` has a default, and a "
        "secret written as `file:/path` is read from that file. A duration has a unit: `250ms`, "
        "`1.5s`, `5m`, `1h`, `1d`; so has a size: `100B`, `512KiB`, `8MiB`, `1GB`. An unknown key "
        "is an error. `dragoman config schema` prints the same for editors."
    )
    return [intro, "", *_sections(Config, "", "##")]


def plugins_page() -> list[str]:
    """Return the lines of the page of the plugins that Dragoman brings along."""
    lines = ["The options of each stand under `with:` of an instance that `uses` it.", ""]
    for name, entries in sorted(installed().items()):
        if not any(entry.dist is not None and entry.dist.name == "dragoman" for entry in entries):
            continue
        plugin = find(name, None).plugin
        declared = {
            "is": ", ".join(sorted(plugin.traits)),
            "hooks": ", ".join(f"`{hook}`" for hook in HOOKS if hasattr(plugin, hook)),
            "`timeout`": seconds_words(plugin.timeout_s),
            "`on_error`": plugin.on_error,
            "read-only": "yes" if plugin.read_only else "",
            "in a thread": "yes" if plugin.blocking else "",
            "needs": f"`pip install '{plugin.extra}'`" if plugin.extra else "",
        }
        lines += [f"## `{name}`", "", inspect.getdoc(plugin) or "", ""]
        rows = [(key, value) for key, value in declared.items() if value]
        lines += [*table(("Declares", ""), rows), "", *_sections(plugin.Config, "with", "###")]
    return lines


def providers_page() -> list[str]:
    """Return the lines of the page of the providers that Dragoman brings along."""
    intro = (
        "What `provider:` of a backend may name. Its options stand beside the keys that "
        "[every backend](config.md) has. A plugin may bring others along."
    )
    lines = [intro, ""]
    for name, provider in sorted(_providers().items()):
        lines += [f"## `{name}`", ""]
        if provider.Options.model_fields:
            lines += _sections(provider.Options, "", "###")
        else:
            lines += ["No options of its own.", ""]
    return lines


def _providers() -> dict[str, Provider]:
    found: dict[str, Provider] = {}
    for entries in installed_providers().values():
        entry = entries[0]
        if entry.dist is not None and entry.dist.name == "dragoman":
            kind = find(entry.value, None).plugin
            made: Any = kind(kind.Config(), name=entry.name)
            made.register_providers(found.__setitem__)
    return found


def _sections(model: type[BaseModel], prefix: str, heading: str) -> Iterator[str]:
    """Yield a table of a model's keys, then those of the models in it."""
    if prefix:
        yield from (f"{heading} `{prefix}`", "", inspect.getdoc(model) or "", "")
    hints = get_type_hints(model, include_extras=True)
    rows = []
    nested: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        hint = hints[name]
        rows.append(
            (f"`{key}`", type_words(hint, field), default_words(hint, field), _about(field))
        )
        full = f"{prefix}.{key}" if prefix else key
        nested += [(f"{full}{suffix}", inner) for suffix, inner in _models(hint)]
    yield from table(("Key", "Type", "Default", "Meaning"), rows)
    yield ""
    for full, inner in nested:
        yield from _sections(inner, full, heading)


def type_words(hint: Any, field: FieldInfo | None = None) -> str:
    """Name a type as people do."""
    for named, words in _NAMED:
        if hint == named:
            return words
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return type_words(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in {Union, UnionType}:
        return " or ".join(
            dict.fromkeys(type_words(a, field) for a in arguments if a is not NoneType)
        )
    if origin in {dict, Mapping}:
        return f"mapping of {type_words(arguments[0])} to {type_words(arguments[1])}"
    if origin in {list, tuple, frozenset, set}:
        return f"list of {type_words(arguments[0])}"
    if inspect.isclass(hint) and issubclass(hint, BaseModel):
        return "mapping"
    bounds = field.metadata if field is not None else []
    least = [f"≥ {bound.ge}" for bound in bounds if hasattr(bound, "ge")]
    most = [f"≤ {bound.le}" for bound in bounds if hasattr(bound, "le")]
    return ", ".join([_PLAIN.get(hint, getattr(hint, "__name__", str(hint))), *least, *most])


def default_words(hint: Any, field: FieldInfo) -> str:
    """Write a default as it would stand in the config."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return "see below"
    if value is None or (isinstance(value, Collection) and not value):
        return "none"
    if hint == Duration:
        value = seconds_words(value)
    elif hint == Size:
        value = bytes_words(value)
    elif isinstance(value, bool):
        value = str(value).lower()
    elif isinstance(value, Collection) and not isinstance(value, str):
        value = ", ".join(sorted(map(str, value)))
    return f"`{value}`"


def _about(field: FieldInfo) -> str:
    return field.description or ""


def _models(hint: Any) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the models in a type, each with what its keys' path has more than the field's."""
    if inspect.isclass(hint) and issubclass(hint, BaseModel):
        yield "", hint
        return
    origin, arguments = get_origin(hint), get_args(hint)
    suffix = ".<name>" if origin in {dict, Mapping} else ""
    suffix = "[]" if origin in {list, tuple} else suffix
    inside = arguments[:1] if origin is Annotated else arguments
    for argument in inside:
        for more, model in _models(argument):
            yield suffix + more, model
