"""JSON schemas cut down to the keywords that a provider takes, references put in their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from pipeline.api import InvalidCall
from plugins.translate.canonical import Json, Loss

_MAX_NODES = 5_000
"""What a schema may become: references can double it at each level."""

_SAY_NOTHING = frozenset({"$schema", "$id", "$comment", "$anchor", "examples", "deprecated"})
_DEFINITIONS = frozenset({"$defs", "definitions"})
_MAPS = frozenset({"properties", "patternProperties"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SCHEMAS = frozenset({"items", "additionalProperties", "not", "contains", "propertyNames"})


@dataclass(frozen=True, slots=True)
class Subset:
    """What a provider takes.

    Args:
        keywords: those that it knows; `const` becomes an `enum` and `oneOf` an `anyOf` where it
            knows only these.
        inlines: whether it wants no `$ref`.
    """

    keywords: frozenset[str]
    inlines: bool = True


def fitted(schema: Any, subset: Subset, loss: Loss, path: str) -> Any:
    """Return a schema that the provider takes; what it does not enforce goes to `loss`.

    Args:
        schema: a JSON schema.
        subset: what the provider takes.
        loss: takes `path` and the keyword.
        path: dotted name of the schema's field.

    Raises:
        InvalidCall: `invalid_value`: it is nested too deeply to be read.
    """
    try:
        return _Fitting(schema, subset, loss, path).fit(schema)
    except RecursionError:
        message = "a schema is nested too deeply"
        raise InvalidCall(message, code="invalid_value", param=path) from None


class _Fitting:
    def __init__(self, root: Any, subset: Subset, loss: Loss, path: str) -> None:
        self._root = root
        self._subset = subset
        self._loss = loss
        self._path = path
        self._left = _MAX_NODES
        self._open: list[str] = []  # references that are being followed

    def fit(self, schema: Any) -> Any:
        if not isinstance(schema, dict):
            return schema
        self._left -= 1
        reference = schema.get("$ref")
        if isinstance(reference, str) and self._subset.inlines:
            return self._followed(reference, schema)
        result: Json = {}
        for keyword, value in schema.items():
            self._keep(result, keyword, value)
        return result

    def _followed(self, reference: str, schema: Json) -> Json:
        target = _target(self._root, reference)
        if target is None or reference in self._open or self._left <= 0:
            # A schema that holds itself has no end: what is deeper may be anything.
            self._lose("$ref")
            kind = target.get("type") if isinstance(target, dict) else None
            return {"type": kind} if kind else {}
        self._open.append(reference)
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        found: Json = self.fit({**target, **beside})
        self._open.pop()
        return found

    def _keep(self, result: Json, keyword: str, value: Any) -> None:
        known = self._subset.keywords
        if keyword in known:
            result[keyword] = self._inner(keyword, value)
        elif keyword in _DEFINITIONS:
            if not self._subset.inlines:
                result[keyword] = {name: self.fit(one) for name, one in value.items()}
        elif keyword == "const" and "enum" in known:
            result["enum"] = [value]
        elif keyword == "oneOf" and isinstance(value, list):
            result["anyOf"] = self._inner("anyOf", value)
        elif keyword == "allOf" and _is_one_schema(value):
            result.update({**self.fit(value[0]), **result})
        elif keyword == "nullable":
            self._allow_null(result, value)
        elif keyword == "default" and value is None:
            return
        elif keyword not in _SAY_NOTHING:
            self._lose(keyword)

    def _allow_null(self, result: Json, value: Any) -> None:
        """Spell OpenAPI's `nullable` as JSON schema does."""
        kind = result.get("type")
        if value is not True or not isinstance(kind, str):
            if value is True:
                self._lose("nullable")
            return
        result["type"] = [kind, "null"]

    def _inner(self, keyword: str, value: Any) -> Any:
        if keyword in _MAPS and isinstance(value, dict):
            return {name: self.fit(one) for name, one in value.items()}
        if keyword in _LISTS and isinstance(value, list):
            return [self.fit(one) for one in value]
        return self.fit(value) if keyword in _SCHEMAS else value

    def _lose(self, keyword: str) -> None:
        self._loss.add(f"{self._path}.{keyword}")


def _is_one_schema(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict)


def _target(root: Any, reference: str) -> Json | None:
    """Return what a reference within the schema (`#/$defs/Name`) names."""
    if not reference.startswith("#"):
        return None
    found = root
    for step in reference[1:].split("/"):
        if not step:
            continue
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None
