"""Tool calls of the demo upstream: which tool a request wants called, with the least arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.demo.answers import Question

_SMALLEST: Mapping[str, Any] = {
    "integer": 0,
    "number": 0,
    "boolean": False,
    "array": [],
    "object": {},
    "string": "demo",
}


def wanted_call(
    request: Mapping[str, Any], question: Question
) -> tuple[str, dict[str, Any]] | None:
    """Return the name and arguments of the tool to call, or None to answer in words.

    A tool is wanted when `tool_choice` requires one or names one, and when the user says "use the
    tool" and no tool has answered yet.
    """
    offered = request.get("tools")
    functions = dict(_functions(offered)) if isinstance(offered, list) else {}
    choice = request.get("tool_choice")
    if isinstance(choice, dict):
        named = choice.get("name") or _dict(choice.get("function")).get("name")
        if isinstance(named, str) and named in functions:
            return named, arguments(functions[named])
        choice = choice.get("type")
    asked = "use the tool" in question.text.lower() and question.tool_result is None
    if choice in ("required", "any") or (asked and choice != "none"):
        for name, schema in functions.items():
            return name, arguments(schema)
    return None


def arguments(schema: object) -> dict[str, Any]:
    """Return an object with the schema's required properties and nothing else.

    References are not followed, so the result is never larger than the schema.
    """
    value = _example(schema)
    return value if isinstance(value, dict) else {}


def _functions(offered: list[Any]) -> list[tuple[str, object]]:
    # Chat nests name and `parameters` under `function`, responses does not, messages says
    # `input_schema`; a provider's own tools (`web_search`) have no schema and are skipped.
    tools = [_dict(_dict(tool).get("function")) or _dict(tool) for tool in offered]
    return [
        (tool["name"], tool.get("parameters") or tool.get("input_schema"))
        for tool in tools
        if isinstance(tool.get("name"), str)
    ]


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _example(schema: object) -> Any:
    if not isinstance(schema, dict):
        return None
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "anyOf", "oneOf", "allOf"):
        options = schema.get(key)
        if isinstance(options, list) and options:
            return options[0] if key == "enum" else _example(options[0])
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next(iter(kind), None)
    if kind in ("integer", "number") and isinstance(schema.get("minimum"), int | float):
        return schema["minimum"]
    properties, required = schema.get("properties"), schema.get("required")
    if isinstance(properties, dict) and isinstance(required, list):
        names = [name for name in required if isinstance(name, str)]
        return {name: _example(properties.get(name)) for name in names}
    return _SMALLEST.get(kind) if isinstance(kind, str) else None
