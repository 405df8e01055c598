"""Canonical tools and tool choice as Anthropic's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pipeline.api import ModelEntry
from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.anthropic_parts import Platform, cache_marker
from plugins.translate.upstreams.anthropic_schema import output_schema
from plugins.translate.upstreams.anthropic_words import as_object, objects

WEB_SEARCH_TYPE = "web_search_20250305"
"""The oldest version, which every model and host with web search takes."""

_OWN_TOOL = re.compile(r"[a-z_0-9]+_20\d{6}\Z")
_SPEC = "tools.function"


def tools(given: Any, loss: Loss, platform: Platform, entry: ModelEntry | None) -> list[Json]:
    """Return Anthropic's tools for canonical ones."""
    found = [_tool(tool, loss, platform, entry) for tool in objects(given)]
    return [tool for tool in found if tool is not None]


def remembered(names: Iterable[str]) -> list[Json]:
    """Return tools for calls of the past: Anthropic wants what was called to be declared."""
    return [{"name": name, "input_schema": {"type": "object"}} for name in names]


def tool_choice(choice: Any, *, parallel: Any, loss: Loss) -> Json | None:
    """Return Anthropic's tool choice, None for its default."""
    single = {"disable_parallel_tool_use": True} if parallel is False else {}
    if isinstance(choice, dict):
        function = as_object(choice.get("function"))
        if choice.get("type") == "allowed_tools":
            choice = as_object(choice.get("allowed_tools")).get("mode")
        elif name := function.get("name"):
            return {"type": "tool", "name": name, **single}
        else:
            loss.add("tool_choice")
            choice = None
    if choice == "none":
        return {"type": "none"}
    if choice == "required":
        return {"type": "any", **single}
    return {"type": "auto", **single} if single or choice == "auto" else None


def allowed(given: Any, choice: Any) -> Any:
    """Return the tools that a choice of `allowed_tools` leaves."""
    limits = as_object(choice).get("allowed_tools")
    if not isinstance(limits, dict):
        return given
    names = [_name(tool) for tool in objects(limits.get("tools"))]
    return [tool for tool in objects(given) if _name(tool) in names]


def _name(tool: Json) -> Any:
    return as_object(tool.get("function")).get("name")


def _tool(tool: Json, loss: Loss, platform: Platform, entry: ModelEntry | None) -> Json | None:
    kind = tool.get("type", "function")
    if kind == "function":
        return _function(tool, loss, entry)
    if platform.server_tools and kind == "web_search":
        return _web_search(tool, loss)
    if isinstance(kind, str) and _OWN_TOOL.match(kind):
        return tool
    loss.add(f"tools.{kind}" if kind in ("web_search", "custom") else "tools.type")
    return None


def _function(tool: Json, loss: Loss, entry: ModelEntry | None) -> Json:
    outer = Fields(tool, loss, "tools")
    outer.ignore("type")
    fields = Fields(as_object(outer.take("function")), loss, _SPEC)
    schema = fields.take("parameters", {})
    result: Json = {"name": fields.take("name", "")}
    if about := fields.take("description"):
        result["description"] = about
    if fields.take("strict") is True:
        if entry is None or entry.json_schema:
            result["strict"] = True
            schema = output_schema(schema, loss, f"{_SPEC}.parameters")
        else:
            fields.lose("strict")
    typed = {"type": "object", **schema} if isinstance(schema, dict) else {"type": "object"}
    result["input_schema"] = typed
    result.update(cache_marker(outer.take("cache_control")))
    fields.finish()
    outer.finish()
    return result


def _web_search(tool: Json, loss: Loss) -> Json:
    outer = Fields(tool, loss, "tools")
    outer.ignore("type")
    fields = Fields(as_object(outer.take("web_search")), loss, "tools.web_search")
    result: Json = {"type": WEB_SEARCH_TYPE, "name": "web_search"}
    if allowed_domains := fields.take("allowed_domains"):
        result["allowed_domains"] = allowed_domains
    if blocked := fields.take("blocked_domains"):
        if allowed_domains:
            fields.lose("blocked_domains")  # Anthropic takes one of the two
        else:
            result["blocked_domains"] = blocked
    if max_uses := fields.take("max_uses"):
        result["max_uses"] = max_uses
    location = fields.take("user_location")
    if isinstance(location, dict):
        known = {k: v for k, v in location.items() if k != "type" and v is not None}
        result["user_location"] = {"type": "approximate", **known}
    result.update(cache_marker(outer.take("cache_control")))
    fields.finish()
    outer.finish()
    return result
