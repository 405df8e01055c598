"""Anthropic's own calls, rid of what no Claude model has said.

A client that another provider answered in an earlier turn sends back what translation made of that
answer: thoughts without a signature, or with one that names its maker before a colon; searches that
cannot be cited again; calls of tools with ids as that provider writes them. Claude refuses all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipeline.api import find_model
from plugins.translate.canonical import Json, Loss
from plugins.translate.upstreams.anthropic_words import as_object, objects

_THOUGHTS = frozenset({"thinking", "redacted_thinking"})
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_IDS = {"tool_use": "id", "tool_result": "tool_use_id"}


def is_signed(secret: object) -> bool:
    """Say whether a signature, or redacted data, may be Claude's: base64 has no colon."""
    return isinstance(secret, str) and bool(secret) and ":" not in secret


def call_id(given: Any) -> str:
    """Return the id of a tool's call as Anthropic takes it; the same for the same."""
    return _NOT_IN_IDS.sub("_", str(given or "call"))


def without_others_words(document: Mapping[str, Any], loss: Loss) -> Json | None:
    """Return a call without what only others say, None where it has nothing of it.

    Args:
        document: a call of the Messages API or of its count, for the provider's name of the model.
        loss: takes `messages.thinking_blocks` and `messages.citations`, and `thinking` where it
            cannot go on without them.
    """
    given = objects(document.get("messages"))
    if not any(_is_others(block) for message in given for block in objects(message.get("content"))):
        return None
    entry = find_model(str(document.get("model") or ""))
    if entry is not None and entry.vendor != "anthropic":
        return None  # a server that is like Anthropic, whose models sign nothing
    lost = Loss()
    messages = [kept for message in given if (kept := _without(message, lost)) is not None]
    changed = {**document, "messages": messages}
    lost_thoughts = "messages.thinking_blocks" in lost.names
    asked = as_object(document.get("thinking")).get("type")
    if lost_thoughts and asked == "enabled" and not _thinks_on(messages):
        # Behind a call of a tool, a budget is only for who has thought before it.
        lost.add("thinking")
        del changed["thinking"]
    for name in lost.names:
        loss.add(name)
    return changed


def _is_others(block: Json) -> bool:
    kind = block.get("type")
    if kind == "thinking":
        return not is_signed(block.get("signature"))
    if kind == "redacted_thinking":
        return not is_signed(block.get("data"))
    if kind == "text":
        return any(map(_is_unproved, objects(block.get("citations"))))
    if name := _IDS.get(str(kind)):
        return isinstance(block.get(name), str) and bool(_NOT_IN_IDS.search(block[name]))
    return False


def _is_unproved(citation: Json) -> bool:
    """Say whether a citation is of a search that Claude has not made."""
    is_search = citation.get("type") == "web_search_result_location"
    return is_search and not citation.get("encrypted_index")


def _without(message: Json, loss: Loss) -> Json | None:
    content = message.get("content")
    if not any(map(_is_others, objects(content))):
        return message
    blocks = [kept for one in content or () if (kept := _own(one, loss)) is not None]
    return {**message, "content": blocks} if blocks else None


def _own(block: Any, loss: Loss) -> Any:
    """Return a block as Claude takes it back, None for one that it does not."""
    if not isinstance(block, dict) or not _is_others(block):
        return block
    if block["type"] in _THOUGHTS:
        loss.add("messages.thinking_blocks")
        return None
    if block["type"] == "text":
        loss.add("messages.citations")
        kept = [one for one in block["citations"] if not _is_unproved(as_object(one))]
        return {**block, "citations": kept or None}
    name = _IDS[block["type"]]
    return {**block, name: call_id(block[name])}


def _thinks_on(messages: list[Json]) -> bool:
    """Say whether the turn that goes on has thought before it, or is a new one."""
    last = messages[-1] if messages else {}
    if all(block.get("type") != "tool_result" for block in objects(last.get("content"))):
        return True
    said: Any = next((m for m in reversed(messages) if m.get("role") == "assistant"), {})
    return any(block.get("type") in _THOUGHTS for block in objects(said.get("content")))
