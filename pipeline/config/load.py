"""Loading a config: the schema's checks, and those that relate one key to another."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from pipeline.config.quantities import SOURCE
from pipeline.config.schema import Config, RouteConfig
from pipeline.config.source import Key, Source, read_source
from pipeline.errors import ConfigError, Problem

_MAPPING = "this must be a mapping: `key: value`, a line each"
_MESSAGES = {
    "extra_forbidden": "there is no such option",
    "missing": "this key is required",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "list_type": "this must be a list: `- item`, a line each, or `[item, item]`",
    "string_type": "this must be a string; quote what YAML takes for something else",
}
"""What pydantic's types of error mean in YAML."""
_PATTERNS: Mapping[str | int, str] = {
    "mode": "a mode is enforce, shadow, or a whole percentage such as 10%",
    "path": "a path starts with /",
    "path_prefix": "a path starts with /",
}
"""By the key's last step: what a regular expression would not tell."""


def load_config(path: Path, environment: Mapping[str, str]) -> tuple[Config, Source]:
    """Load a config file.

    Args:
        path: the YAML file.
        environment: what `${VAR}` is replaced from.

    Raises:
        ConfigError: with every problem found, each with file, line and key.
    """
    source = read_source(path, environment)
    return check_config(source), source


def check_config(source: Source) -> Config:
    """Validate a parsed config; see `load_config`."""
    try:
        config = Config.model_validate(source.values, context={SOURCE: source})
    except ValidationError as error:
        raise ConfigError(*problems_of(error, source, ())) from None
    problems = list(_relations(config, source))
    if problems:
        raise ConfigError(*problems)
    return config


def problems_of(error: ValidationError, source: Source, prefix: Key) -> Iterator[Problem]:
    """Turn a pydantic error into problems at their lines.

    Args:
        error: what pydantic found.
        source: the document, for the lines.
        prefix: key of the part that was validated.
    """
    # Without the input: an option's value may be a secret.
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        key = (*prefix, *(step for step in item["loc"] if step != "[key]"))
        message = _MESSAGES.get(item["type"]) or item["msg"].removeprefix("Value error, ")
        if item["type"] == "string_pattern_mismatch" and key:
            message = _PATTERNS.get(key[-1], message)
        yield source.problem(key, message)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?` for the most similar known word, or an empty string."""
    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _relations(config: Config, source: Source) -> Iterator[Problem]:
    names: set[str] = set()
    for index, route in enumerate(config.routes):
        at: Key = ("routes", index)
        if route.name in names:
            yield source.problem((*at, "name"), f"two routes are named {route.name!r}")
        names.add(route.name)
        plugins = [((*at, "plugins", i), name) for i, name in enumerate(route.plugins)]
        yield from _named(plugins, "plugins", config.plugins, source)
        yield from _named(list(_backends(route, at)), "backends", config.backends, source)
    if not config.routes:
        yield source.problem(("routes",), "at least one route is needed")


def _backends(route: RouteConfig, at: Key) -> Iterator[tuple[Key, str]]:
    for priority, shares in enumerate(route.backends):
        key = (*at, "backends", priority)
        yield from (((*key, name) if len(shares) > 1 else key, name) for name in shares)


def _named(
    given: Sequence[tuple[Key, str]], kind: str, known: Collection[str], source: Source
) -> Iterator[Problem]:
    seen: set[str] = set()
    for key, name in given:
        if name not in known:
            hint = nearest(name, known)
            yield source.problem(key, f"there is no {name!r} under `{kind}`{hint}")
        if name in seen:
            yield source.problem(key, f"{name!r} is in this list twice")
        seen.add(name)


def located(error: ConfigError, source: Source) -> ConfigError:
    """Return an error that was found without the document with the file and line of each key."""
    return ConfigError(
        *(
            problem
            if problem.file is not None
            else source.problem(tuple(problem.key.split(".")), problem.message)
            for problem in error.problems
        )
    )
