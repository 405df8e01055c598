"""OpenAI's own calls, rid of what translation put into the turns that others answered."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pipeline.api import find_model
from plugins.translate.canonical import Json, Loss
from plugins.translate.upstreams.anthropic_words import as_object, objects

SEALED = "dragoman:"
"""How `encrypted_content` begins that holds another provider's signature."""

# Of an assistant's message: OpenAI's own models say none of it, and it takes no unknown field.
_TRANSLATED = ("thinking_blocks", "reasoning_content", "citations", "images")
_MAX_ID = 40


def short_id(given: Any) -> Any:
    """Return a tool call's id, or one that OpenAI takes and that is always the same for it."""
    if not isinstance(given, str) or len(given) <= _MAX_ID:
        return given
    return "call_" + hashlib.sha256(given.encode()).hexdigest()[:32]


def without_sealed_items(document: Mapping[str, Any], loss: Loss) -> Json | None:
    """Return a call of Responses without the reasoning items that OpenAI did not encrypt.

    Args:
        document: the call; None is returned where it has none.
        loss: takes `input.reasoning`.
    """
    given = document.get("input")
    if not any(map(_is_sealed, objects(given))):
        return None
    loss.add("input.reasoning")
    kept = [item for item in given or () if not (isinstance(item, dict) and _is_sealed(item))]
    return {**document, "input": kept}


def without_translated_fields(document: Mapping[str, Any], loss: Loss) -> Json | None:
    """Return a chat without the fields that others' answers have beyond OpenAI's.

    Only a model that is known to be OpenAI's loses them: other servers, which this provider may be
    given the URL of, know some of them.

    Args:
        document: the call, for the provider's name of the model; None is returned where it has
            none of them.
        loss: takes their names.
    """
    given = document.get("messages")
    if not any(map(_is_others, objects(given))):
        return None
    entry = find_model(str(document.get("model") or ""))
    if entry is None or entry.vendor != "openai":
        return None
    messages = [_plain(message, loss) for message in given or ()]
    return {**document, "messages": messages}


def _is_sealed(item: Json) -> bool:
    secret = item.get("encrypted_content")
    return item.get("type") == "reasoning" and isinstance(secret, str) and secret.startswith(SEALED)


def _is_others(message: Json) -> bool:
    if message.get("role") == "tool":
        return _is_long(message.get("tool_call_id"))
    if message.get("role") != "assistant":
        return False
    if any(name in message for name in _TRANSLATED):
        return True
    calls = objects(message.get("tool_calls"))
    return any("extra_content" in call or _is_long(call.get("id")) for call in calls)


def _is_long(identifier: Any) -> bool:
    return isinstance(identifier, str) and len(identifier) > _MAX_ID


def _plain(message: Any, loss: Loss) -> Any:
    if not _is_others(as_object(message)):
        return message
    result = {name: value for name, value in message.items() if name not in _TRANSLATED}
    if message.get("thinking_blocks") or message.get("reasoning_content"):
        loss.add("messages.thinking_blocks")
    for name in ("citations", "images"):
        if message.get(name):
            loss.add(f"messages.{name}")
    if isinstance(calls := message.get("tool_calls"), list):
        result["tool_calls"] = [own_call(call) for call in calls]
    if "tool_call_id" in result:
        result["tool_call_id"] = short_id(result["tool_call_id"])
    return result


def own_call(call: Any) -> Any:
    """Return a tool call without another provider's signature, by an id that OpenAI takes."""
    if not isinstance(call, dict):
        return call
    own = {name: value for name, value in call.items() if name != "extra_content"}
    return {**own, "id": short_id(own["id"])} if "id" in own else own
