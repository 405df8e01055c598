"""Backends of the config: each with its provider's options checked, and its connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, get_args
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from pipeline.api.plugin import PluginConfig
from pipeline.api.provider import Backend, Connection, Provider
from pipeline.config.load import nearest, problems_of
from pipeline.config.quantities import read_secret
from pipeline.config.schema import BackendConfig, Config
from pipeline.config.source import Key, Source
from pipeline.errors import ConfigError, InvalidCall, Problem
from pipeline.host.loading import installed_providers

Json = dict[str, Any]
_NEEDED = {
    "add": ("value",),
    "replace": ("value",),
    "test": ("value",),
    "move": ("from",),
    "copy": ("from",),
}
"""What operations of RFC 6902 have beside `op` and `path`."""


@dataclass(frozen=True, slots=True)
class Link:
    """A backend with what connects to it.

    Args:
        backend: the backend.
        connection: made by its provider.
    """

    backend: Backend
    connection: Connection

    @property
    def secrets(self) -> Iterator[str]:
        """What must never show: the key, the values of headers, the provider's secret options."""
        yield self.backend.api_key
        yield from self.backend.headers.set.values()
        for _, value in self.backend.options:
            if isinstance(value, SecretStr):
                yield value.get_secret_value()


def make_links(
    config: Config, source: Source, providers: Mapping[str, Provider]
) -> dict[str, Link]:
    """Resolve and connect every backend of the config; nothing is sent yet.

    Raises:
        ConfigError: a provider is unknown, its options are wrong, or it has no URL of its own
            where the config names none.
    """
    links: dict[str, Link] = {}
    problems: list[Problem] = []
    for name, settings in config.backends.items():
        try:
            links[name] = _link(name, settings, source, providers, _beside(config, name))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(*problems)
    return links


def _beside(config: Config, name: str) -> frozenset[str]:
    """Return the providers of the other backends on a backend's routes."""
    routes = (route.backend_names for route in config.routes if name in route.backend_names)
    others = {other for names in routes for other in names} - {name}
    return frozenset(config.backends[other].provider for other in others)


def _link(
    name: str,
    settings: BackendConfig,
    source: Source,
    providers: Mapping[str, Provider],
    beside: frozenset[str],
) -> Link:
    at: Key = ("backends", name)
    provider = providers.get(settings.provider)
    if provider is None:
        hint = nearest(settings.provider, {*providers, *installed_providers()})
        message = f"there is no provider {settings.provider!r}{hint}"
        raise ConfigError(source.problem((*at, "provider"), message))
    options = _options(settings, provider, source, at)
    try:
        url = settings.url or provider.default_url(options)
        if not url:
            raise _no_url(settings.provider, source, at)  # noqa: TRY301 - told as it is
        backend = Backend(
            name=name,
            provider=settings.provider,
            url=urlsplit(url),
            api_key=settings.api_key.get_secret_value() if settings.api_key is not None else "",
            models=settings.models,
            strict=settings.strict,
            headers=settings.headers.edits,
            patch=_patch(settings.patch, source, (*at, "patch")) if settings.patch else None,
            key_header=settings.key_header or "",
            host=settings.host or "",
            options=options,
            beside=beside,
        )
        return Link(backend, provider.connect(backend))
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(source.problem(at, str(error))) from error
    except (Exception, SystemExit) as error:
        message = f"provider {settings.provider!r} failed: {type(error).__name__}: {error}"
        raise ConfigError(source.problem(at, message)) from error


def _no_url(provider: str, source: Source, at: Key) -> ConfigError:
    message = f"provider {provider!r} has no URL of its own: give one"
    return ConfigError(source.problem((*at, "url"), message))


def _options(settings: BackendConfig, provider: Provider, source: Source, at: Key) -> PluginConfig:
    model = provider.Options
    given = settings.options
    own = {field.alias or name: field for name, field in model.model_fields.items()}
    problems = list(_unknown(given, own, settings.provider, source, at))
    values: Json = {}
    for key, value in given.items():
        try:
            is_secret = key in own and _is_secret(own[key].annotation)
            values[key] = read_secret(value, source) if is_secret else value
        except ValueError as error:
            problems.append(source.problem((*at, key), str(error)))
    if problems:
        raise ConfigError(*problems)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(*problems_of(error, source, at)) from None


def _unknown(
    given: Mapping[str, Any], own: Mapping[str, Any], provider: str, source: Source, at: Key
) -> Iterator[Problem]:
    known = [*own, *BackendConfig.model_fields]
    takes = f"its own are {', '.join(sorted(own))}" if own else "it has none of its own"
    for key in given:
        if key not in own:
            hint = nearest(key, known)
            message = f"there is no such option; provider {provider!r}: {takes}{hint}"
            yield source.problem((*at, key), message)


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(one) for one in get_args(annotation))


def _patch(operations: list[Json], source: Source, at: Key) -> Callable[[Json], Json]:
    # Late: few configs have one.
    from jsonpatch import (  # noqa: PLC0415
        InvalidJsonPatch,
        JsonPatch,
        JsonPatchException,
        JsonPointerException,
    )

    patches = []
    for index, operation in enumerate(operations):
        try:
            for key in _NEEDED.get(operation.get("op", ""), ()):
                if key not in operation:
                    raise InvalidJsonPatch(f"it has no {key!r}")  # noqa: TRY301 - found late there
            patches.append((operation.get("op"), JsonPatch([operation])))
        except (InvalidJsonPatch, JsonPointerException, TypeError) as error:
            message = f"this is no operation of RFC 6902: {error}"
            raise ConfigError(source.problem((*at, index), message)) from None

    def patched(document: Json) -> Json:
        changed = deepcopy(document)
        for op, patch in patches:
            try:
                changed = patch.apply(changed, in_place=True)
            except (JsonPatchException, JsonPointerException) as error:
                if op == "remove":
                    continue  # a call that never had it is what was wanted
                raise InvalidCall(
                    "the backend's `patch` does not fit this call", code="patch_failed"
                ) from error
        return changed

    return patched
