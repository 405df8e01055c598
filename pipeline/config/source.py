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


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed config file.

    Args:
        file: its path as given, or None when it was built in memory.
        values: the document, variables replaced.
        lines: key to 1-based line.
    """

    file: str | None
    values: dict[str, Any]
    lines: Mapping[Key, int] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder that relative paths of the config start from."""
        return Path(self.file).resolve().parent if self.file else Path.cwd()

    def problem(self, key: Key, message: str) -> Problem:
        """Return a problem at a key, on the line of the nearest key that exists."""
        line = next(
            (self.lines[key[:n]] for n in range(len(key), -1, -1) if key[:n] in self.lines), None
        )
        return Problem(key=dotted(key), message=message, file=self.file, line=line)


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
        message = f"not valid YAML: {getattr(error, 'problem', None) or 'cannot be parsed'}"
        raise ConfigError(Problem("", message, file, line)) from error
    if node is None:
        return Source(file, {})
    reader = _Reader(file, environment)
    values = reader.read(node, ())
    if not isinstance(values, dict):
        reader.problems.append(Problem("", "the config must be a mapping of keys", file, 1))
    if reader.problems:
        raise ConfigError(*reader.problems)
    return Source(file, values, reader.lines)


class _Reader:
    """Turns YAML nodes into values while noting lines, repeated keys and unset variables."""

    def __init__(self, file: str | None, environment: Mapping[str, str]) -> None:
        self.file = file
        self.environment = environment
        self.lines: dict[Key, int] = {}
        self.problems: list[Problem] = []
        self._scalars = yaml.SafeLoader("")

    def read(self, node: yaml.Node, key: Key) -> Any:
        self.lines.setdefault(key, node.start_mark.line + 1)
        match node:
            case yaml.MappingNode():
                return self._mapping(node, key)
            case yaml.SequenceNode():
                return [self.read(item, (*key, i)) for i, item in enumerate(node.value)]
            case _:
                return self._scalar(node, key)

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        values: dict[str, Any] = {}
        self._scalars.flatten_mapping(node)
        for name_node, value_node in node.value:
            name = str(name_node.value)
            at = (*key, name)
            line = name_node.start_mark.line + 1
            if name in values:
                self.problems.append(Problem(dotted(at), "this key is here twice", self.file, line))
            self.lines[at] = line
            values[name] = self.read(value_node, at)
        return values

    def _scalar(self, node: yaml.Node, key: Key) -> Any:
        value = self._scalars.construct_object(node, deep=True)
        if not isinstance(value, str) or "${" not in value:
            return value
        line = node.start_mark.line + 1

        def replace(match: re.Match[str]) -> str:
            found = self.environment.get(match[1], match[2])
            if found is None:
                message = f"the environment has no variable {match[1]}; write ${{{match[1]}:-…}}"
                self.problems.append(
                    Problem(dotted(key), f"{message} to give a default", self.file, line)
                )
            return found or ""

        return _VARIABLE.sub(replace, value)
