"""The start-up self-check: our two packages are ours, whatever else is called the same."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.errors import ConfigError, Problem

PACKAGES = ("pipeline", "plugins")


def check_installation() -> None:
    """Check that our packages are imported from our installation.

    `pipeline` and `plugins` are everyday names: another folder of that name on the import path
    would be imported instead, in whole or in part.

    Raises:
        ConfigError: one is not, or the distribution is not installed.
    """
    try:
        home = installed_in(distribution("dragoman"))
    except PackageNotFoundError:
        message = "the distribution `dragoman` is not installed: pip install -e . in a checkout"
        raise ConfigError(Problem("", message)) from None
    problems = [problem for name in PACKAGES for problem in foreign(name, home)]
    if problems:
        raise ConfigError(*problems)


def installed_in(dist: Distribution) -> Path:
    """Return the folder that holds the distribution's packages: a checkout when it is editable."""
    origin = json.loads(dist.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        return Path(unquote(urlsplit(origin["url"]).path)).resolve()
    return Path(str(dist.locate_file(""))).resolve()


def foreign(name: str, home: Path) -> list[Problem]:
    """Return a problem when a package would not be imported from `home`."""
    spec = find_spec(name)
    where = spec.origin if spec is not None else None
    if where is not None and Path(where).resolve() == home / name / "__init__.py":
        return []
    found = where or "a folder that is no package, or nowhere"
    message = (
        f"is imported from {found}, not from our installation in {home}: another folder of that "
        "name comes first on the import path (PYTHONPATH, or the current folder)"
    )
    return [Problem(name, message)]
