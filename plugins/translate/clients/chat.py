"""OpenAI's chat completions as a client's API: nearly the canonical form itself."""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import Json, Loss, Operation
from plugins.translate.clients.chat_legacy import as_function_call, with_tools
from plugins.translate.clients.chat_stream import ChatEncoder
from plugins.translate.formats import Client, StreamEncoder

_OLD_NAMES = {"max_tokens": "max_completion_tokens"}
_GUIDES = ("json", "regex", "choice", "grammar")


class ChatClient:
    """Calls of `openai.chat`."""

    dialect = "openai.chat"
    operation: Operation = "chat"

    def canonical(self, document: Json, loss: Loss) -> Json:
        """Return the canonical call: older spellings become today's."""
        call = dict(document)
        for old, new in _OLD_NAMES.items():
            value = call.pop(old, None)
            if value is not None and call.get(new) is None:
                call[new] = value
        if isinstance(call.get("stop"), str):
            call["stop"] = [call["stop"]]
        reasoning = _reasoning(call, loss)
        if reasoning:
            call["reasoning"] = reasoning
        _move_guides(call)
        _move_web_search(call)
        return with_tools(_marked(call))

    def answer(self, answer: Json, call: Json) -> Json:
        """Return the canonical answer; who asked with `functions` is answered so."""
        return as_function_call(answer, "message") if _is_legacy(call) else answer

    def encoder(self, call: Json) -> StreamEncoder:
        """Return a writer of chunks; usage only for who asked for it."""
        options = call.get("stream_options")
        shows_usage = isinstance(options, dict) and options.get("include_usage") is True
        return ChatEncoder(shows_usage=shows_usage, is_legacy=_is_legacy(call))


def _is_legacy(call: Json) -> bool:
    return bool(call.get("functions")) and not call.get("tools")


def _reasoning(call: Json, loss: Loss) -> Json:
    """Take what OpenAI's, OpenRouter's and Anthropic's spellings ask of the model's reasoning."""
    effort = call.pop("reasoning_effort", None)
    thinking = call.pop("thinking", None)
    given = call.pop("reasoning", None)
    asked: Json = dict(given) if isinstance(given, dict) else {}
    budget = asked.pop("max_tokens", None)
    if asked.pop("enabled", None) is False:
        asked.setdefault("effort", "none")
    if asked.pop("exclude", None):
        loss.add("reasoning.exclude")
    if isinstance(thinking, dict):
        budget = thinking.get("budget_tokens") if budget is None else budget
        if thinking.get("type") == "disabled":
            asked.setdefault("effort", "none")
        elif thinking.get("type") == "adaptive" and effort is None:
            asked.setdefault("effort", "high")
    if effort is not None:
        asked["effort"] = effort
    if budget is not None:
        asked.setdefault("budget_tokens", budget)
    return asked


def _move_guides(call: Json) -> None:
    """Spell vLLM's newer `structured_outputs` as its `guided_*`."""
    guides = call.get("structured_outputs")
    if isinstance(guides, dict):
        rest = dict(guides)
        for name in _GUIDES:
            if (value := rest.pop(name, None)) is not None:
                call.setdefault(f"guided_{name}", value)
        call.pop("structured_outputs")
        if rest:
            call["structured_outputs"] = rest


def _move_web_search(call: Json) -> None:
    options = call.pop("web_search_options", None)
    if isinstance(options, dict):
        search = dict(options)
        location = search.get("user_location")
        if isinstance(location, dict) and isinstance(location.get("approximate"), dict):
            search["user_location"] = location["approximate"]
        tool = {"type": "web_search", "web_search": search}
        tools = call.get("tools")
        call["tools"] = [*tools, tool] if isinstance(tools, list) else [tool]


def _marked(call: Json) -> Json:
    """Spell OpenAI's cache breakpoints as `cache_control`."""
    messages = call.get("messages")
    if not isinstance(messages, list) or not any(map(_has_breakpoint, messages)):
        return call
    return {**call, "messages": [_with_marker(message) for message in messages]}


def _has_breakpoint(message: Any) -> bool:
    content = message.get("content") if isinstance(message, dict) else None
    return isinstance(content, list) and any(
        isinstance(part, dict) and "prompt_cache_breakpoint" in part for part in content
    )


def _with_marker(message: Json) -> Json:
    if not _has_breakpoint(message):
        return message
    parts = []
    for part in message["content"]:
        if isinstance(part, dict) and isinstance(part.get("prompt_cache_breakpoint"), dict):
            rest = {k: v for k, v in part.items() if k != "prompt_cache_breakpoint"}
            # The shortest that OpenAI names is half an hour.
            ttl = {"ttl": "1h"} if part["prompt_cache_breakpoint"].get("ttl") else {}
            parts.append({"cache_control": {"type": "ephemeral", **ttl}, **rest})
        else:
            parts.append(part)
    return {**message, "content": parts}


_: Client = ChatClient()
