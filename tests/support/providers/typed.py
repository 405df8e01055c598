"""Checks JSON against a vendor's TypedDicts as the vendor's server would: nothing extra."""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, get_args, get_origin

import typing_extensions

_NUMBERS = {int: (int,), float: (int, float)}


class Mismatch(Exception):
    """Raised when a value is not what its type says."""


def conform(value: Any, wanted: Any, at: str = "body", aliases: Mapping[str, str] = {}) -> None:
    """Check a value.

    Args:
        value: parsed JSON.
        wanted: a type; TypedDicts take no other keys.
        at: where the value is, for the message.
        aliases: names of fields on the wire, by their names in the types.

    Raises:
        Mismatch: it does not fit.
    """
    wanted = _plain(wanted)
    origin = get_origin(wanted)
    if wanted in (Any, object):
        return
    if origin in (typing.Union, types.UnionType):
        _one_of(value, get_args(wanted), at, aliases)
    elif origin is Literal:
        _say(value in get_args(wanted) and not isinstance(value, bool), at, "not one of the values")
    elif typing_extensions.is_typeddict(wanted):
        _typed_dict(value, wanted, at, aliases)
    elif origin is not None:
        is_map = origin in (dict, collections.abc.Mapping)
        _say(isinstance(value, dict if is_map else list), at, "not an object or list")
        for place, one in value.items() if is_map else enumerate(value):
            conform(one, get_args(wanted)[-1], f"{at}.{place}", aliases)
    else:
        kind = type(None) if wanted is None else wanted
        is_odd = isinstance(value, bool) and kind is not bool
        _say(isinstance(value, _NUMBERS.get(kind, kind)) and not is_odd, at, f"not a {kind}")


def _plain(wanted: Any) -> Any:
    while True:
        if isinstance(wanted, typing_extensions.TypeAliasType):
            wanted = wanted.__value__
            continue
        origin = get_origin(wanted)
        if isinstance(origin, typing_extensions.TypeAliasType):
            wanted = origin.__value__[get_args(wanted)]
            continue
        name = getattr(origin, "__name__", "") or str(origin)
        if any(one in name for one in ("Annotated", "Required", "NotRequired")):
            wanted = get_args(wanted)[0]
            continue
        return wanted


def _one_of(value: Any, kinds: Any, at: str, aliases: Mapping[str, str]) -> None:
    reasons = []
    for kind in kinds:
        if "Unrecognized" in str(kind):
            continue  # what the vendor's client would take of a newer server
        try:
            conform(value, kind, at, aliases)
        except Mismatch as error:
            reasons.append(str(error))
        else:
            return
    deepest = max(reasons, key=lambda reason: len(reason.partition(":")[0]))
    raise Mismatch(deepest)


def _typed_dict(value: Any, wanted: Any, at: str, aliases: Mapping[str, str]) -> None:
    _say(isinstance(value, dict), at, "not an object")
    hints = _hints(wanted)
    names = {aliases.get(name, name): name for name in hints}
    for name, hint in hints.items():
        if _is_required(hint, name, wanted):
            _say(aliases.get(name, name) in value, f"{at}.{aliases.get(name, name)}", "missing")
    for name, one in value.items():
        _say(name in names, f"{at}.{name}", "extra inputs are not permitted")
        conform(one, hints[names[name]], f"{at}.{name}", aliases)


@cache
def _hints(wanted: Any) -> dict[str, Any]:
    return typing_extensions.get_type_hints(wanted, include_extras=True)


def _is_required(hint: Any, name: str, wanted: Any) -> bool:
    # Annotations that are strings hide `Required` from the class itself.
    marks = {str(get_origin(hint)).rpartition(".")[2]}
    if "NotRequired" in marks:
        return False
    return "Required" in marks or name in wanted.__required_keys__


def _say(is_right: bool, at: str, reason: str) -> None:
    if not is_right:
        raise Mismatch(f"{at}: {reason}")
