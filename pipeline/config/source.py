"""A config as a YAML document: its values, and the line on which every key stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError, Problem

Key = tuple[str | int, ...]
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
# Aliases make a short file long, and one that refers to itself endless.
_MAX_DEPTH = 64
_MAX_VALUES = 100_000
_MERGE = "tag:yaml.org,2002:merge"
_MIN_SECRET = 8  # characters; a shorter value may be a word of the message


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed config file.

    Args:
        file: its path as given, or None when it was built in memory.
        values: the document, variables replaced.
        lines: key to 1-based line.
        text: the document as it was read, variables not replaced.
        variables: by key, the values that variables gave it, each with what the file says for it.
    """

    file: str | None
    values: dict[str, Any] = field(repr=False)  # secrets are among them
    lines: Mapping[Key, int] = field(default_factory=dict, repr=False)
    text: str = field(default="", repr=False)
    variables: Mapping[Key, Mapping[str, str]] = field(default_factory=dict, repr=False)

    @property
    def folder(self) -> Path:
        """The folder that relative paths of the config start from."""
        return Path(self.file).resolve().parent if self.file else Path.cwd()

    def beside(self, name: str) -> Path:
        """Return the path that the config means by one."""
        path = Path(name)
        return path if path.is_absolute() else self.folder / path

    def problem(self, key: Key, message: str) -> Problem:
        """Return a problem at a key, on the line of the nearest key that exists.

        A value that came from the environment may be a secret, whatever key it was given to: the
        message names its variable in its place.
        """
        for at, given in self.variables.items():
            if at[: len(key)] == key[: len(at)]:
                message = _without_values(message, given)
        line = next(
            (self.lines[key[:n]] for n in range(len(key), -1, -1) if key[:n] in self.lines), None
        )
        return Problem(key=dotted(key), message=message, file=self.file, line=line)


def _without_values(message: str, given: Mapping[str, str]) -> str:
    for value, written in given.items():
        message = message.replace(repr(value), repr(written))
        if len(value) >= _MIN_SECRET:
            message = message.replace(value, written)
    return message


def dotted(key: Key) -> str:
    """Write a key as people do: `routes[0].match.path`."""
    text = ""
    for step in key:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def read_source(path: Path, environment: Mapping[str, str]) -> Source:
    """Read and parse a config file.

    Raises:
        ConfigError: it cannot be read, is no YAML mapping, repeats a key, or names a variable
            that is not set.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(Problem("", f"cannot read the config: {reason}", str(path))) from error
    return parse_source(text, environment, file=str(path))


def parse_source(text: str, environment: Mapping[str, str], file: str | None = None) -> Source:
    """Parse the text of a config; see `read_source`."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        reason = getattr(error, "problem", None) or getattr(error, "reason", "cannot be parsed")
        raise ConfigError(Problem("", f"not valid YAML: {reason}", file, line)) from error
    except RecursionError as error:
        raise ConfigError(Problem("", _too_deep(), file)) from error
    if node is None:
        return Source(file, {}, text=text)
    reader = _Reader(file, environment)
    values = reader.read(node, ())
    if not isinstance(values, dict):
        reader.problems.append(Problem("", "the config must be a mapping of keys", file, 1))
    if reader.problems:
        raise ConfigError(*reader.problems)
    return Source(file, values, reader.lines, text, reader.variables)


def _too_deep() -> str:
    return f"the config nests deeper than {_MAX_DEPTH} levels"


class _Reader:
    """Turns YAML nodes into values while noting lines, repeated keys and unset variables."""

    def __init__(self, file: str | None, environment: Mapping[str, str]) -> None:
        self.file = file
        self.environment = environment
        self.lines: dict[Key, int] = {}
        self.problems: list[Problem] = []
        self.variables: dict[Key, dict[str, str]] = {}
        self._scalars = yaml.SafeLoader("")
        self._values = 0

    def read(self, node: yaml.Node, key: Key, depth: int = 0) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(key, line)
        self._values += 1
        if depth > _MAX_DEPTH:
            raise ConfigError(Problem(dotted(key[:2]), _too_deep(), self.file, line))
        if self._values > _MAX_VALUES:
            message = f"the config has more than {_MAX_VALUES} values, aliases counted each time"
            raise ConfigError(Problem(dotted(key[:2]), message, self.file, line))
        match node:
            case yaml.MappingNode():
                return self._mapping(node, key, depth)
            case yaml.SequenceNode():
                items = enumerate(node.value)
                return [self.read(item, (*key, i), depth + 1) for i, item in items]
            case _:
                return self._scalar(node, key)

    def _mapping(self, node: yaml.MappingNode, key: Key, depth: int) -> dict[str, Any]:
        values = self._merged(node, key, depth)
        own: set[str] = set()
        for name_node, value_node in node.value:
            line = name_node.start_mark.line + 1
            if name_node.tag == _MERGE:
                continue
            if not isinstance(name_node, yaml.ScalarNode):
                self.problems.append(Problem(dotted(key), "a key must be text", self.file, line))
                continue
            name = name_node.value
            at = (*key, name)
            if name in own:
                self.problems.append(Problem(dotted(at), "this key is here twice", self.file, line))
            own.add(name)
            self.lines[at] = line
            values[name] = self.read(value_node, at, depth + 1)
        return values

    def _merged(self, node: yaml.MappingNode, key: Key, depth: int) -> dict[str, Any]:
        """Return what `<<` brings in; of several mappings the first that has a key gives it."""
        values: dict[str, Any] = {}
        for name_node, value_node in node.value:
            if name_node.tag != _MERGE:
                continue
            is_list = isinstance(value_node, yaml.SequenceNode)
            for one in reversed(value_node.value) if is_list else [value_node]:
                if isinstance(one, yaml.MappingNode):
                    values |= self.read(one, key, depth + 1)
                else:
                    line = one.start_mark.line + 1
                    message = "`<<` takes a mapping, or a list of them"
                    self.problems.append(Problem(dotted(key), message, self.file, line))
        return values

    def _scalar(self, node: yaml.Node, key: Key) -> Any:
        try:
            value = self._scalars.construct_object(node, deep=True)
        except Exception:  # noqa: BLE001 - YAML's constructors raise whatever comes
            kind = node.tag.removeprefix("tag:yaml.org,2002:")
            message = f"this is no valid YAML value of type {kind!r}; quote it if it is text"
            line = node.start_mark.line + 1
            self.problems.append(Problem(dotted(key), message, self.file, line))
            return None
        if not isinstance(value, str) or "${" not in value:
            return value
        line = node.start_mark.line + 1

        def replace(match: re.Match[str]) -> str:
            found = self.environment.get(match[1])
            if not found and match[2] is not None:
                return match[2]  # as in a shell: `:-` stands in for an empty variable too
            if found is None:
                message = f"the environment has no variable {match[1]}; write ${{{match[1]}:-…}}"
                self.problems.append(
                    Problem(dotted(key), f"{message} to give a default", self.file, line)
                )
                return ""
            if found:
                self.variables.setdefault(key, {})[found] = match[0]
            return found

        return _VARIABLE.sub(replace, value)
