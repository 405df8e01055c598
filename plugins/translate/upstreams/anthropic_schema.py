"""JSON schemas as Anthropic's structured outputs take them.

What its grammar cannot hold a model to moves into the description, as Anthropic's own SDKs do
(https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations).
"""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import Json, Loss

_FORMATS = frozenset(
    "date-time time date duration email hostname uri ipv4 ipv6 uuid".split()  # noqa: SIM905
)
_AS_THEY_ARE = frozenset({"title", "description", "default", "const", "enum", "required"}) | {
    "type",
    "$ref",
}
_SAY_NOTHING = frozenset({"$schema", "$id", "$comment", "$anchor", "examples"})
_MAPS = frozenset({"properties", "$defs", "definitions"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf"})


def output_schema(schema: Any, loss: Loss, path: str) -> Any:
    """Return a schema that Anthropic takes; what it will not enforce goes to `loss`.

    Args:
        schema: a JSON schema, or part of one.
        loss: takes `path` and the keyword.
        path: dotted name of the schema's field.
    """
    if not isinstance(schema, dict):
        return schema
    if isinstance(schema.get("type"), list):
        return _any_of_types(schema, loss, path)
    result: Json = {}
    unenforced: list[str] = []
    for keyword, value in schema.items():
        kept = _kept(keyword, value, loss, path)
        if kept is not None:
            result["anyOf" if keyword == "oneOf" else keyword] = kept
        elif keyword not in _SAY_NOTHING and value is not False:
            loss.add(f"{path}.{keyword}")
            if keyword != "additionalProperties":
                unenforced.append(f"{keyword}: {value}")
    if result.get("type") == "object" or "properties" in result:
        result["additionalProperties"] = False
    if unenforced:
        about = result.get("description")
        told = "{" + ", ".join(unenforced) + "}"
        result["description"] = f"{about}\n\n{told}" if about else told
    return result


def _kept(keyword: str, value: Any, loss: Loss, path: str) -> Any:
    """Return what a keyword's value becomes; None where Anthropic does not enforce it."""
    if keyword in _AS_THEY_ARE:
        return value
    if keyword in _MAPS and isinstance(value, dict):
        return {name: output_schema(inner, loss, path) for name, inner in value.items()}
    if keyword in _LISTS and isinstance(value, list):
        return [output_schema(inner, loss, path) for inner in value]
    if keyword == "items" and isinstance(value, dict):
        return output_schema(value, loss, path)
    if (keyword == "format" and value in _FORMATS) or (keyword == "minItems" and value in (0, 1)):
        return value
    return None


def _any_of_types(schema: Json, loss: Loss, path: str) -> Json:
    shared = ("title", "description", "default", "$defs", "definitions")
    outer: Json = output_schema({k: schema[k] for k in shared if k in schema}, loss, path)
    inner = {key: value for key, value in schema.items() if key not in (*shared, "type")}
    if "enum" in inner:
        # Its values say their types.
        return {**outer, **output_schema(inner, loss, path)}
    kinds = [
        {"type": kind} if kind == "null" else {**_only_for(kind, inner), "type": kind}
        for kind in schema["type"]
    ]
    any_of = [output_schema(one, loss, path) for one in kinds]
    return {**outer, "anyOf": any_of}


def _only_for(kind: str, schema: Json) -> Json:
    owners = {"properties": "object", "required": "object", "additionalProperties": "object"}
    owners |= {"items": "array", "minItems": "array", "maxItems": "array"}
    return {key: value for key, value in schema.items() if owners.get(key, kind) == kind}
