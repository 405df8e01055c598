"""Anthropic's message as a canonical answer."""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import Json
from plugins.translate.upstreams.anthropic_words import (
    FINISH_REASONS,
    TELLING_STOP_REASONS,
    as_object,
    canonical_usage,
    tool_arguments,
)


def canonical_answer(document: Json, *, model: str, created_s: int) -> Json:
    """Return the canonical answer for a message, whatever else than its content is missing.

    Args:
        document: Anthropic's message.
        model: the model asked for, where the message names none.
        created_s: what the answer says about when it was made, in Unix seconds.

    Raises:
        ValueError: it is no message.
    """
    content = document.get("content")
    if not isinstance(content, list) and document.get("type") != "message":
        raise ValueError("the answer is no message")
    blocks = [block for block in content or () if isinstance(block, dict)]
    texts = [block for block in blocks if block.get("type") == "text"]
    thoughts = [thought for block in blocks if (thought := _thought(block))]
    calls = [_call(block) for block in blocks if block.get("type") == "tool_use"]
    text, cited = _text(texts)
    message: Json = {"role": "assistant", "content": text}
    if calls and not texts:
        message["content"] = None
    message["refusal"] = refusal(document)
    message.update(cited)
    if thoughts:
        message["thinking_blocks"] = thoughts
        if told := "".join(thought.get("thinking", "") for thought in thoughts):
            message["reasoning_content"] = told
    if calls:
        message["tool_calls"] = calls
    return {
        "id": str(document.get("id") or ""),
        "object": "chat.completion",
        "created": created_s,
        "model": str(document.get("model") or model),
        "choices": [{"index": 0, "message": message, "logprobs": None, **ending(document)}],
        **usage_of(document),
    }


def ending(document: Json) -> Json:
    """Return how a choice ends, from whatever holds `stop_reason`."""
    reason = document.get("stop_reason")
    result: Json = {"finish_reason": FINISH_REASONS.get(str(reason), "stop")}
    if document.get("stop_sequence") is not None:
        result["stop_sequence"] = document["stop_sequence"]
    if reason in TELLING_STOP_REASONS:
        result["native_finish_reason"] = reason
    return result


def refusal(document: Json) -> str | None:
    """Return why the answer was refused, in Anthropic's words; None where it says nothing."""
    if document.get("stop_reason") != "refusal":
        return None
    return as_object(document.get("stop_details")).get("explanation")


def usage_of(document: Json) -> Json:
    """Return `usage` and `service_tier` for what states them, nothing where it does not."""
    usage = document.get("usage")
    if not isinstance(usage, dict) or not usage:
        return {}
    tiers = {"standard": "default", "priority": "priority"}
    served = usage.get("service_tier")
    tier = {"service_tier": tiers[served]} if served in tiers else {}
    return {"usage": canonical_usage(usage), **tier}


def _text(blocks: list[Json]) -> tuple[str, dict[str, list[Json]]]:
    citations = Citations()
    texts = []
    for block in blocks:
        texts.append(str(block.get("text") or ""))
        for citation in block.get("citations") or ():
            citations.add(citation)
        citations.close(len(texts[-1]))
    return "".join(texts), citations.found


def _thought(block: Json) -> Json | None:
    kind = block.get("type")
    if kind == "thinking":
        thought, signature = block.get("thinking") or "", block.get("signature") or ""
        return {"type": kind, "thinking": thought, "signature": signature}
    if kind == "redacted_thinking":
        return {"type": kind, "data": block.get("data") or ""}
    return None


def _call(block: Json) -> Json:
    arguments = tool_arguments(block.get("input"))
    function = {"name": block.get("name") or "", "arguments": arguments}
    return {"id": block.get("id") or "", "type": "function", "function": function}


class Citations:
    """Collects the citations of text blocks, with their places in the whole text."""

    __slots__ = ("_held", "_offset", "found")

    def __init__(self) -> None:
        self._offset = 0
        self._held: list[Json] = []
        self.found: dict[str, list[Json]] = {}

    def add(self, citation: Any) -> None:
        """Take a citation of the block that is open."""
        if isinstance(citation, dict):
            self._held.append(citation)

    def close(self, length: int) -> dict[str, list[Json]]:
        """End a block of so many characters and return what its citations add to a message.

        Those with a URL are OpenAI's annotations. The others (pages and passages of documents that
        the client sent), for which OpenAI has no word, stay what they are under `citations`.
        """
        start, self._offset = self._offset, self._offset + length
        added: dict[str, list[Json]] = {}
        for citation in self._held:
            if url := citation.get("url"):
                place = {"start_index": start, "end_index": self._offset}
                told = {**place, "title": citation.get("title") or "", "url": url}
                one = {"type": "url_citation", "url_citation": told}
                added.setdefault("annotations", []).append(one)
            else:
                added.setdefault("citations", []).append(citation)
        self._held = []
        for name, items in added.items():
            self.found.setdefault(name, []).extend(items)
        return added
