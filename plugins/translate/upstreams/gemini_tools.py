"""Canonical tools and tool choice as Gemini's."""

from __future__ import annotations

import re
from typing import Any

from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.anthropic_words import as_object, objects
from plugins.translate.upstreams.gemini_contents import name_of
from plugins.translate.upstreams.schema_subset import Subset, fitted

GEMINI_SCHEMA = Subset(
    frozenset(
        {"type", "format", "title", "description", "enum", "items", "prefixItems", "minItems"}
        | {"maxItems", "minimum", "maximum", "anyOf", "properties", "additionalProperties"}
        | {"required", "propertyOrdering"}
    )
)
"""What `parametersJsonSchema` and `responseJsonSchema` know (https://ai.google.dev/api/generate-content).

References are put in their place: Gemini follows them only where nothing stands beside them.
"""

_OWN_TOOLS = frozenset(
    {"googleSearch", "googleSearchRetrieval", "enterpriseWebSearch", "codeExecution", "urlContext"}
    | {"googleMaps", "fileSearch", "computerUse", "retrieval"}
)
_UNDERSCORE = re.compile(r"_([a-z])")
_FUNCTION = "tools.function"


def tools_body(fields: Fields, loss: Loss, *, excludes_domains: bool) -> Json:
    """Return `tools` and `toolConfig` for a canonical call.

    Args:
        fields: the call's; `tools`, `tool_choice` and `parallel_tool_calls` are taken.
        loss: takes what cannot be carried.
        excludes_domains: whether a web search can leave out domains.
    """
    choice, parallel = fields.take("tool_choice"), fields.take("parallel_tool_calls")
    given = objects(fields.take("tools"))
    given, choice = _allowed(given, choice)
    is_strict = any(as_object(tool.get("function")).get("strict") is True for tool in given)
    declared = [_function(tool, loss) for tool in given if "function" in tool]
    others = [_other(t, loss, excludes_domains) for t in given if "function" not in t]
    own = [tool for tool in others if tool]
    if own and declared:
        # Gemini does not mix its own tools with functions in one call.
        loss.add("tools.web_search" if any("googleSearch" in one for one in own) else "tools.type")
        own = []
    if not declared and not own:
        return {}
    body: Json = {"tools": own}
    if declared:
        body["tools"] = [{"functionDeclarations": declared}]
        if parallel is False:
            fields.lose("parallel_tool_calls")
        if config := _config(choice, fields, is_strict=is_strict):
            body["toolConfig"] = {"functionCallingConfig": config}
    return body


def _allowed(given: list[Json], choice: Any) -> tuple[list[Json], Any]:
    """Leave only the tools that a choice of `allowed_tools` names."""
    limits = as_object(choice).get("allowed_tools")
    if not isinstance(limits, dict):
        return given, choice
    names = {name_of(tool) for tool in objects(limits.get("tools"))}
    return [tool for tool in given if name_of(tool) in names], limits.get("mode")


def _config(choice: Any, fields: Fields, *, is_strict: bool) -> Json | None:
    if name := name_of(choice):
        return {"mode": "ANY", "allowedFunctionNames": [name]}
    if choice == "required":
        return {"mode": "ANY"}
    if choice == "none":
        return {"mode": "NONE"}
    if choice not in (None, "auto"):
        fields.lose("tool_choice")
    if is_strict:
        return {"mode": "VALIDATED"}  # the model may answer in words, but must keep to the schema
    return {"mode": "AUTO"} if choice == "auto" else None


def _function(tool: Json, loss: Loss) -> Json:
    outer = Fields(tool, loss, "tools")
    outer.ignore("type", "cache_control")
    fields = Fields(as_object(outer.take("function")), loss, _FUNCTION)
    result: Json = {"name": fields.take("name", "")}
    if about := fields.take("description"):
        result["description"] = about
    schema = fields.take("parameters")
    fields.ignore("strict")
    if isinstance(schema, dict) and schema:
        taken = fitted(schema, GEMINI_SCHEMA, loss, f"{_FUNCTION}.parameters")
        result["parametersJsonSchema"] = {"type": "object", **taken}
    fields.finish()
    outer.finish()
    return result


def _other(tool: Json, loss: Loss, excludes_domains: bool) -> Json | None:
    kind = tool.get("type")
    if kind == "web_search":
        return _web_search(tool, loss, excludes_domains)
    names = [str(kind)] if kind else list(tool)
    name = _UNDERSCORE.sub(lambda found: found[1].upper(), names[0]) if names else ""
    if name not in _OWN_TOOLS:
        loss.add(f"tools.{kind}" if kind == "custom" else "tools.type")
        return None
    return {name: tool.get(names[0]) or {}}


def _web_search(tool: Json, loss: Loss, excludes_domains: bool) -> Json:
    fields = Fields(as_object(tool.get("web_search")), loss, "tools.web_search")
    search: Json = {}
    if excludes_domains and (blocked := fields.take("blocked_domains")):
        search["excludeDomains"] = blocked
    if fields.take("search_context_size", "medium") != "medium":
        fields.lose("search_context_size")
    fields.finish()
    return {"googleSearch": search}
