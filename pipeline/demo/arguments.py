"""The smallest arguments that a tool's JSON schema asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MAX_DEPTH = 16
_SMALLEST: Mapping[str, Any] = {
    "integer": 0,
    "number": 0,
    "boolean": False,
    "array": [],
    "object": {},
    "string": "demo",
}


def arguments(schema: object) -> dict[str, Any]:
    """Return an object with the schema's required properties and nothing else.

    References are not followed, so the result is never larger than the schema.
    """
    value = _example(schema, 0)
    return value if isinstance(value, dict) else {}


def _example(schema: object, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _MAX_DEPTH:
        return None
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "anyOf", "oneOf", "allOf"):
        options = schema.get(key)
        if isinstance(options, list) and options:
            return options[0] if key == "enum" else _example(options[0], depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next(iter(kind), None)
    if kind in {"integer", "number"} and isinstance(schema.get("minimum"), int | float):
        return schema["minimum"]
    properties, required = schema.get("properties"), schema.get("required")
    if isinstance(properties, dict) and isinstance(required, list):
        names = [name for name in required if isinstance(name, str)]
        return {name: _example(properties.get(name), depth + 1) for name in names}
    return _SMALLEST.get(kind) if isinstance(kind, str) else None
