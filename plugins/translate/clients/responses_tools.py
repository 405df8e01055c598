"""Tools and tool choice of Responses as canonical ones."""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.clients.function_tools import function_tool
from plugins.translate.clients.responses_parts import cache_marker
from plugins.translate.upstreams.anthropic_words import as_object

_WEB_SEARCH = "web_search"


def move_tools(call: Json, fields: Fields, loss: Loss) -> None:
    """Write the tools, the choice among them and their limits into the canonical call."""
    tools = [_tool(tool, loss) for tool in fields.take("tools", ()) if isinstance(tool, dict)]
    choice = fields.take("tool_choice")
    if as_object(choice).get("type") == "allowed_tools":
        tools, choice = _allowed(tools, choice)
    if (limit := fields.take("max_tool_calls")) is not None:
        searches = [tool for tool in tools if tool.get("type") == _WEB_SEARCH]
        if len(searches) == 1:
            searches[0]["web_search"]["max_uses"] = limit
        else:
            fields.lose("max_tool_calls")
    if tools:
        call["tools"] = tools
    if isinstance(choice, str):
        call["tool_choice"] = choice
    elif isinstance(choice, dict):
        kind, name = choice.get("type"), choice.get("name")
        if kind in ("function", "custom") and name:
            call["tool_choice"] = {"type": kind, kind: {"name": name}}
        else:
            fields.lose("tool_choice")
    if (parallel := fields.take("parallel_tool_calls")) is not None:
        call["parallel_tool_calls"] = parallel


def _tool(tool: Json, loss: Loss) -> Json:
    kind = tool.get("type")
    if kind == "function":
        return _function(tool, loss)
    if kind == "custom":
        return _custom(tool, loss)
    if _search_or(kind) == _WEB_SEARCH:
        return _web_search(tool, loss)
    return tool


def _search_or(kind: Any) -> Any:
    """Return one name for all of OpenAI's versions of web search."""
    return _WEB_SEARCH if isinstance(kind, str) and kind.startswith(_WEB_SEARCH) else kind


def _function(tool: Json, loss: Loss) -> Json:
    fields = Fields(tool, loss, "tools")
    result = {**function_tool(fields, "parameters"), **cache_marker(fields)}
    fields.finish()
    return result


def _custom(tool: Json, loss: Loss) -> Json:
    fields = Fields(tool, loss, "tools")
    fields.ignore("type")
    custom = {
        name: value for name in ("name", "description") if (value := fields.take(name)) is not None
    }
    given = fields.take("format")
    if as_object(given).get("type") == "grammar":
        grammar = {name: given.get(name) for name in ("syntax", "definition")}
        custom["format"] = {"type": "grammar", "grammar": grammar}
    elif given is not None:
        custom["format"] = given
    fields.finish()
    return {"type": "custom", "custom": custom}


def _web_search(tool: Json, loss: Loss) -> Json:
    fields = Fields(tool, loss, "tools")
    fields.ignore("type")
    search: Json = {}
    filters = Fields(as_object(fields.take("filters")), loss, "tools.filters")
    for name in ("allowed_domains", "blocked_domains"):
        if domains := filters.take(name):
            search[name] = domains
    filters.finish()
    if size := fields.take("search_context_size"):
        search["search_context_size"] = size
    location = as_object(fields.take("user_location"))
    if known := {k: v for k, v in location.items() if k != "type" and v is not None}:
        search["user_location"] = known
    if fields.take("external_web_access") is False:
        fields.lose("external_web_access")
    if fields.take("search_content_types", ["text"]) != ["text"]:
        fields.lose("search_content_types")
    result = {"type": _WEB_SEARCH, _WEB_SEARCH: search, **cache_marker(fields)}
    fields.finish()
    return result


def _allowed(tools: list[Json], choice: Json) -> tuple[list[Json], Any]:
    """Offer only the tools that the choice allows: the same to a model, and all providers can."""
    allowed = {_told(one) for one in choice.get("tools") or () if isinstance(one, dict)}
    return [tool for tool in tools if _told(tool) in allowed], choice.get("mode")


def _told(tool: Json) -> tuple[Any, Any]:
    """Return what tells a tool from others, in a choice and in canonical form alike."""
    kind = _search_or(tool.get("type"))
    if kind == _WEB_SEARCH:
        return kind, None
    holder = tool.get(kind) if isinstance(kind, str) else None
    return kind, as_object(holder).get("name") or tool.get("name") or tool.get("server_label")
