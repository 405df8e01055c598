"""Finding the plugin class that an instance `uses`; nothing is imported that no config names."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.api.plugin import Plugin
from pipeline.config.load import nearest
from pipeline.host.plugin_metrics import importing

GROUP = "dragoman.plugins"
PROVIDER_GROUP = "dragoman.providers"
"""Provider names to the plugin class that registers each: who names one needs no instance."""
PluginClass = type[Plugin[Any]]


@dataclass(frozen=True, slots=True)
class Found:
    """A plugin class and where it came from.

    Args:
        plugin: the class.
        distribution: the distribution's name, or the path of a local module.
        version: the distribution's version, empty for a local module.
    """

    plugin: PluginClass
    distribution: str
    version: str = ""


class PluginNotFound(LookupError):
    """Raised when `uses` names nothing that can be loaded; the message says what to do."""


def installed() -> dict[str, list[EntryPoint]]:
    """Return every installed plugin's entry points by name, without importing one."""
    return _by_name(GROUP)


@cache
def installed_providers() -> dict[str, list[EntryPoint]]:
    """Return the entry points of every installed provider by its name, without importing one."""
    return _by_name(PROVIDER_GROUP)


def _by_name(group: str) -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=group):
        same = found.setdefault(entry.name, [])
        # An editable install can list one distribution twice.
        if all(entry.value != other.value for other in same):
            same.append(entry)
    return found


def find(uses: str, plugins_dir: Path | None) -> Found:
    """Load the plugin class that `uses` names.

    Args:
        uses: an entry point's name, a `module:object`, or a module in `plugins_dir`.
        plugins_dir: folder of local modules.

    Raises:
        PluginNotFound: there is none, or more than one, or it cannot be imported.
    """
    if ":" in uses:
        module, _, name = uses.partition(":")
        return Found(_object(_imported(module), name, uses), module)
    entries = installed()
    local = plugins_dir / f"{uses}.py" if plugins_dir is not None and uses.isidentifier() else None
    if local is not None and local.is_file():
        if uses in entries:
            owner = _owner(entries[uses][0])
            raise PluginNotFound(f"{uses!r} is in {plugins_dir} and in {owner}: rename one")
        return Found(_only_plugin(_local_module(local), local), str(local))
    if uses not in entries:
        raise PluginNotFound(
            f"no installed distribution has a plugin {uses!r}{nearest(uses, entries)}"
            " (a checkout must be installed: pip install -e .)"
        )
    if len(entries[uses]) > 1:
        owners = ", ".join(sorted(_owner(entry) for entry in entries[uses]))
        raise PluginNotFound(f"several distributions have a plugin {uses!r}: {owners}")
    entry = entries[uses][0]
    dist = entry.dist
    loaded = _object(_imported(entry.module), entry.attr, uses)
    return Found(loaded, dist.name if dist else entry.module, dist.version if dist else "")


def _owner(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value


def _imported(module: str) -> ModuleType:
    try:
        with importing():
            return importlib.import_module(module)
    except ImportError as error:
        raise PluginNotFound(f"cannot import {module}: {error}") from error
    except (Exception, SystemExit) as error:
        # A stranger's module may do anything; and `importlib` itself minds an empty name.
        message = f"cannot import {module or 'an empty name'}: {type(error).__name__}: {error}"
        raise PluginNotFound(message) from error


def _object(module: ModuleType, name: str, uses: str) -> PluginClass:
    found = getattr(module, name, None)
    if not (isinstance(found, type) and issubclass(found, Plugin)):
        raise PluginNotFound(f"{uses!r} is no subclass of pipeline.api.Plugin")
    return found


def _local_module(path: Path) -> ModuleType:
    # A prefix of our own: a local `redis.py` must not shadow the package of that name.
    name = f"dragoman_local_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginNotFound(f"cannot import {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with importing(name):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise PluginNotFound(f"cannot import {path}: {type(error).__name__}: {error}") from error
    return module


def _only_plugin(module: ModuleType, path: Path) -> PluginClass:
    classes = [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type)
        and issubclass(thing, Plugin)
        and thing.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise PluginNotFound(f"{path} must define exactly one Plugin class, not {len(classes)}")
    return classes[0]
