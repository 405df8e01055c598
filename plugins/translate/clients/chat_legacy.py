"""OpenAI's `functions` and `function_call`, the older spelling of tools, both ways."""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import Json


def with_tools(call: Json) -> Json:
    """Return a call that spells its functions, their choice and their calls as tools."""
    messages = call.get("messages")
    if isinstance(messages, list) and any(map(_is_legacy, messages)):
        call["messages"] = _messages(messages)
    functions = call.pop("functions", None)
    choice = call.pop("function_call", None)
    if isinstance(functions, list) and functions and not call.get("tools"):
        call["tools"] = [{"type": "function", "function": one} for one in functions]
        # The older spelling knows one call at a time.
        call["parallel_tool_calls"] = False
        if isinstance(choice, dict):
            call["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
        elif choice is not None:
            call["tool_choice"] = choice
    return call


def as_function_call(document: Json, field: str) -> Json:
    """Return an answer or chunk that spells its first tool call as a function call.

    Args:
        document: canonical; it stays as it is.
        field: what holds a choice's content: `message` or `delta`.
    """
    choices = [_choice(choice, field) for choice in document.get("choices") or ()]
    return {**document, "choices": choices}


def _is_legacy(message: Any) -> bool:
    return isinstance(message, dict) and (
        message.get("role") == "function" or message.get("function_call") is not None
    )


def _messages(messages: list[Any]) -> list[Any]:
    result: list[Any] = []
    last_id = "call_0"
    for number, message in enumerate(messages):
        if not _is_legacy(message):
            result.append(message)
        elif message.get("role") == "function":
            rest = {k: v for k, v in message.items() if k not in ("role", "name")}
            result.append({"role": "tool", "tool_call_id": last_id, **rest})
        else:
            last_id = f"call_{number}"
            rest = {k: v for k, v in message.items() if k != "function_call"}
            called = {"id": last_id, "type": "function", "function": message["function_call"]}
            result.append({**rest, "tool_calls": [called]})
    return result


def _choice(choice: Json, field: str) -> Json:
    result = dict(choice)
    if choice.get("finish_reason") == "tool_calls":
        result["finish_reason"] = "function_call"
    said = choice.get(field)
    if isinstance(said, dict) and said.get("tool_calls"):
        rest = {k: v for k, v in said.items() if k != "tool_calls"}
        first = said["tool_calls"][0]
        if first.get("index", 0) == 0:
            rest["function_call"] = first.get("function") or {}
        result[field] = rest
    return result
