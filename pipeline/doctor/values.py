"""Values of a dump: JSON that somebody else wrote, read without trusting its shape."""

from __future__ import annotations

import re
from typing import Any

Object = dict[str, Any]
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)s\Z")
_DIGITS = re.compile(r"\d{1,18}\Z")


def part(value: Any, *keys: str) -> Object:
    """Return the object under nested keys; an empty one where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def parts(value: Any, key: str) -> list[Object]:
    """Return the objects in the list under a key."""
    found = value.get(key) if isinstance(value, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def text(value: Any, key: str) -> str:
    """Return the text under a key, empty where there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def texts(value: Any, key: str) -> list[str]:
    """Return the texts in the list under a key."""
    found = value.get(key) if isinstance(value, dict) else None
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def number(value: Any, key: str) -> int | None:
    """Return the integer under a key; protobuf's JSON writes large ones as text."""
    found = value.get(key) if isinstance(value, dict) else None
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    return int(found) if isinstance(found, str) and _DIGITS.match(found) else None


def seconds(value: Any, key: str) -> float | None:
    """Return the duration under a key."""
    match = _DURATION.match(text(value, key))
    return float(match[1]) if match is not None else None


def truth(value: Any, *keys: str) -> bool:
    """Return whether there is `true` under nested keys."""
    *path, last = keys
    return part(value, *path).get(last) is True if path else part(value).get(last) is True


def type_of(value: Any) -> str:
    """Return the name of the message that an Any holds, without its package's version."""
    return text(value, "@type").rpartition(".")[2]
