"""Plugin classes by a name that a config can say, wherever they were defined."""

from __future__ import annotations

import itertools
import sys
from typing import Any
from weakref import WeakValueDictionary

from pipeline.api import Plugin

_NUMBERS = itertools.count()
_KEPT: WeakValueDictionary[str, type[Plugin[Any]]] = WeakValueDictionary()


def uses_of(plugin: type[Plugin[Any]]) -> str:
    """Return what a config says after `uses:` for a class; one made inside a function will do."""
    module = sys.modules.get(plugin.__module__)
    if getattr(module, plugin.__name__, None) is plugin:
        return f"{plugin.__module__}:{plugin.__name__}"
    name = next((known for known, kept in _KEPT.items() if kept is plugin), None)
    if name is None:
        name = f"{plugin.__name__}_{next(_NUMBERS)}"
        _KEPT[name] = plugin
    return f"{__name__}:{name}"


def __getattr__(name: str) -> type[Plugin[Any]]:
    try:
        return _KEPT[name]
    except KeyError:
        raise AttributeError(name) from None
