"""`dragoman new-plugin`: the package of a plugin, with tests and docs, ready to be changed."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

import typer

from pipeline.host.loading import installed

_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_MAX_CHARACTERS = 40
_PREFIX = "dragoman-"
# Template to the file's place; `$` names are filled in there as well.
_FILES = {
    "pyproject.toml.txt": "pyproject.toml",
    "README.md.txt": "README.md",
    "gitignore.txt": ".gitignore",
    "options.md.txt": "docs/options.md",
    "init.py.txt": "src/$package/__init__.py",
    "config.py.txt": "src/$package/config.py",
    "plugin.py.txt": "src/$package/plugin.py",
    "test_plugin.py.txt": "tests/test_plugin.py",
    "test_conformance.py.txt": "tests/test_conformance.py",
}


class UnusableName(ValueError):
    """Raised when a plugin cannot have a name; the message says why."""


def names_of(name: str) -> dict[str, str]:
    """Return what a plugin's parts are called.

    Args:
        name: words in lower case with `-` or `_` between them; a leading `dragoman-` is no part
            of it.

    Raises:
        UnusableName: it is not of that form, or taken.
    """
    plain = name.replace("_", "-").removeprefix(_PREFIX)
    if not _NAME.fullmatch(name) or not _NAME.fullmatch(plain) or len(plain) > _MAX_CHARACTERS:
        raise UnusableName(
            f"a name is words in lower case with '-' between them, for instance 'word-limit', and"
            f" {_MAX_CHARACTERS} characters at most"
        )
    plugin = plain.replace("-", "_")
    class_name = "".join(word.capitalize() for word in plain.split("-"))
    # None and True are keywords, and words of a name.
    if keyword.iskeyword(plugin) or keyword.iskeyword(class_name) or class_name == "Plugin":
        raise UnusableName(f"{name!r} means something else in Python; add a word to it")
    if plugin in installed():
        raise UnusableName(f"a plugin {plugin!r} is installed already; choose another name")
    return {
        "plugin": plugin,
        "distribution": f"{_PREFIX}{plain}",
        "package": f"dragoman_{plugin}",
        "class_name": class_name,
    }


def written_files(names: Mapping[str, str]) -> dict[str, str]:
    """Return the text of every file by its place in the package's folder."""
    templates = files("pipeline.cli") / "new_plugin_files"
    written = {
        Template(place).substitute(names): Template(
            (templates / source).read_text(encoding="utf-8")
        ).substitute(names)
        for source, place in _FILES.items()
    }
    return {**written, f"src/{names['package']}/py.typed": ""}


def new_plugin(name: str, folder: Path) -> None:
    """Write the package of a new plugin.

    Args:
        name: the plugin's name.
        folder: where the package's own folder goes.
    """
    try:
        names = names_of(name)
    except UnusableName as error:
        raise typer.BadParameter(str(error), param_hint="NAME") from error
    home = folder / names["distribution"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        home.mkdir()
    except OSError as error:  # above all: it is there already
        message = f"{error.filename}: {error.strerror}; nothing was written"
        raise typer.BadParameter(message, param_hint="NAME") from error
    for place, text in written_files(names).items():
        path = home / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        typer.echo(str(path))
    typer.echo(f"\nNext: cd {home}, pip install --editable . pytest, pytest")
