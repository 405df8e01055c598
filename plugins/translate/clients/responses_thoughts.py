"""Thoughts as Responses' reasoning items, and back, so that no turn of a conversation loses them.

A client that keeps no state with us sends a reasoning item back as it got it. OpenAI's own item has
its thoughts in `encrypted_content`, which goes through untouched. Of another provider's block that
field holds what the provider signed, in words of our own::

    dragoman:thinking:<signature>          the thought's text is the item's summary
    dragoman:redacted_thinking:<data>      nothing can be read of it
"""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import Json
from plugins.translate.upstreams.anthropic_words import as_object
from plugins.translate.upstreams.openai_native import SEALED

_OWN = frozenset({"id", "summary", "encrypted_content", "content"})


def sealed(kind: str, secret: str) -> str:
    """Return a block's signature, or its redacted data, as an item's `encrypted_content`."""
    return f"{SEALED}{kind}:{secret}"


def reasoning_item(block: Json, item_id: str) -> Json:
    """Return a canonical thinking block as a reasoning item.

    Args:
        block: the block.
        item_id: for an item that has no id of its own.
    """
    kind = block.get("type")
    if kind == "reasoning":
        own = {name: block[name] for name in _OWN if block.get(name) is not None}
        return {"id": item_id, "type": "reasoning", "summary": [], **own}
    if kind == "redacted_thinking":
        secret = sealed(kind, block.get("data") or "")
        return {"id": item_id, "type": "reasoning", "summary": [], "encrypted_content": secret}
    return thought_item(item_id, block.get("thinking") or "", block.get("signature") or "")


def thought_item(item_id: str, thought: str, signature: str) -> Json:
    """Return the reasoning item of a thought that can be read."""
    summary = [{"type": "summary_text", "text": thought}] if thought else []
    secret = sealed("thinking", signature)
    return {"id": item_id, "type": "reasoning", "summary": summary, "encrypted_content": secret}


def thinking_block(item: Json) -> Json:
    """Return the canonical thinking block that a reasoning item carries."""
    secret = item.get("encrypted_content")
    kind = value = ""
    if isinstance(secret, str) and secret.startswith(SEALED):
        kind, _, value = secret.removeprefix(SEALED).partition(":")
    if kind == "redacted_thinking":
        return {"type": kind, "data": value}
    if kind == "thinking":
        return {"type": kind, "thinking": summary_text(item), "signature": value}
    own = {name: item[name] for name in _OWN if item.get(name) is not None}
    return {"type": "reasoning", **own}


def summary_text(item: Json) -> str:
    """Return an item's summary as one text."""
    summary: Any = item.get("summary")
    parts = summary if isinstance(summary, list) else []
    return "\n\n".join(str(as_object(part).get("text") or "") for part in parts)
