"""Anthropic's Messages request as a canonical call."""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.clients.function_tools import function_tool
from plugins.translate.clients.messages_blocks import messages, parts
from plugins.translate.upstreams.anthropic_words import as_object, objects

_TIERS = {"auto": "auto", "standard_only": "default"}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_SAME = ("model", "temperature", "top_p", "top_k", "anthropic_beta")
_WEB_SEARCH = "web_search_20"


def canonical_call(document: Json, loss: Loss) -> Json:
    """Return the canonical call for a document of the Messages API."""
    fields = Fields(document, loss)
    fields.ignore("anthropic_version")
    call: Json = {name: value for name in _SAME if (value := fields.take(name)) is not None}
    call["messages"] = [*_system(fields.take("system"), loss), *_messages(fields, loss)]
    if (limit := fields.take("max_tokens")) is not None:
        call["max_completion_tokens"] = limit
    if stop := fields.take("stop_sequences"):
        call["stop"] = stop
    if fields.take("stream") is True:
        # Anthropic's streams always say what they cost.
        call["stream"], call["stream_options"] = True, {"include_usage": True}
    _tools(call, fields, loss)
    _reasoning(call, fields, loss)
    metadata = Fields(as_object(fields.take("metadata")), loss, "metadata")
    if user := metadata.take("user_id"):
        call["user"] = user
    metadata.finish()
    tier = fields.take("service_tier")
    if isinstance(tier, str) and tier in _TIERS:
        call["service_tier"] = _TIERS[tier]
    elif tier is not None:
        fields.lose("service_tier")
    fields.finish()
    return call


def _system(system: Any, loss: Loss) -> list[Json]:
    if not system:
        return []
    return [{"role": "system", "content": parts(system, loss, "system")}]


def _messages(fields: Fields, loss: Loss) -> list[Json]:
    found = [
        canonical
        for message in objects(fields.take("messages"))
        for canonical in messages(message, loss)
    ]
    marker = fields.take("cache_control")
    if isinstance(marker, dict) and found:
        found[-1] = {**found[-1], "cache_control": marker}
    return found


def _tools(call: Json, fields: Fields, loss: Loss) -> None:
    tools = [_tool(tool, loss) for tool in objects(fields.take("tools"))]
    if tools:
        call["tools"] = tools
    choice = Fields(as_object(fields.take("tool_choice")), loss, "tool_choice")
    kind, name = choice.take("type"), choice.take("name")
    if choice.take("disable_parallel_tool_use") is True:
        call["parallel_tool_calls"] = False
    if kind == "tool" and name:
        call["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif isinstance(kind, str) and kind in _CHOICES:
        call["tool_choice"] = _CHOICES[kind]
    elif kind is not None:
        choice.lose("type")
    choice.finish()


def _tool(tool: Json, loss: Loss) -> Json:
    kind = tool.get("type") or "custom"
    if kind == "custom":
        return _function(tool, loss)
    if isinstance(kind, str) and kind.startswith(_WEB_SEARCH):
        return _web_search(tool, loss)
    return tool


def _function(tool: Json, loss: Loss) -> Json:
    fields = Fields(tool, loss, "tools")
    result = {**function_tool(fields, "input_schema"), **_marker(fields)}
    fields.finish()
    return result


def _web_search(tool: Json, loss: Loss) -> Json:
    fields = Fields(tool, loss, "tools")
    fields.ignore("type", "name")
    search: Json = {}
    for name in ("allowed_domains", "blocked_domains", "max_uses"):
        if value := fields.take(name):
            search[name] = value
    location = as_object(fields.take("user_location"))
    if known := {k: v for k, v in location.items() if k != "type" and v is not None}:
        search["user_location"] = known
    result = {"type": "web_search", "web_search": search, **_marker(fields)}
    fields.finish()
    return result


def _marker(fields: Fields) -> Json:
    marker = fields.take("cache_control")
    return {"cache_control": marker} if isinstance(marker, dict) else {}


def _reasoning(call: Json, fields: Fields, loss: Loss) -> None:
    """Carry thinking, effort and the output's format."""
    config = Fields(as_object(fields.take("output_config")), loss, "output_config")
    output = config.take("format", fields.take("output_format"))
    if isinstance(output, dict) and output.get("schema") is not None:
        schema = {"name": "answer", "schema": output["schema"], "strict": True}
        call["response_format"] = {"type": "json_schema", "json_schema": schema}
    effort = config.take("effort")
    thinking = Fields(as_object(fields.take("thinking")), loss, "thinking")
    kind, budget, display = (thinking.take(n) for n in ("type", "budget_tokens", "display"))
    reasoning: Json = {}
    if kind in ("disabled", "between_tools"):
        reasoning["effort"] = "none"
        if effort:
            config.lose("effort")
        if kind == "between_tools":
            thinking.lose("type")
    elif kind == "adaptive":
        reasoning["effort"] = effort or "high"  # Anthropic's own default
    elif effort:
        reasoning["effort"] = effort
    if kind == "enabled" and budget:
        reasoning["budget_tokens"] = budget
    if display == "summarized":
        reasoning["summary"] = "auto"
    config.finish()
    thinking.finish()
    if reasoning:
        call["reasoning"] = reasoning
