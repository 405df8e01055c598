"""A canonical answer as Anthropic's message."""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import Json
from plugins.translate.upstreams.anthropic_words import (
    anthropic_usage,
    as_object,
    stop_reason,
    tool_input,
)

# Those of providers other than Claude's hosts have no place in Anthropic's answers.
_IN_DOCUMENTS = frozenset(
    {"char_location", "page_location", "content_block_location", "search_result_location"}
)


def message_answer(answer: Json, model: str) -> Json:
    """Return Anthropic's message for a canonical answer.

    Args:
        answer: the canonical answer; of several choices the first is the message.
        model: the model asked for, where the answer names none.
    """
    choices = answer.get("choices") or [{}]
    choice = choices[0]
    message = as_object(choice.get("message"))
    content = thinking_blocks(message)
    refusal = message.get("refusal")
    text = (message.get("content") or "") + (refusal or "")
    text = text or as_object(message.get("audio")).get("transcript") or ""
    citations = all_citations(message)
    if text or citations:
        content.append({"type": "text", "text": text, "citations": citations or None})
    calls = [_tool_use(call) for call in message.get("tool_calls") or ()]
    return {
        "id": answer.get("id") or "msg_unknown",
        "type": "message",
        "role": "assistant",
        "model": answer.get("model") or model,
        "content": content + calls,
        "stop_reason": stop_reason(choice, calls_tools=bool(calls), refuses=bool(refusal)),
        "stop_sequence": choice.get("stop_sequence"),
        "usage": {**anthropic_usage(answer.get("usage")), **service_tier(answer)},
    }


def thinking_blocks(message: Json) -> list[Json]:
    """Return a message's thoughts as Anthropic's blocks."""
    given = message.get("thinking_blocks")
    if not given:
        told = message.get("reasoning_content")
        return [{"type": "thinking", "thinking": told, "signature": ""}] if told else []
    return [thinking_block(block) for block in given]


def thinking_block(block: Json) -> Json:
    """Return a canonical thinking block as Anthropic's."""
    kind = block.get("type")
    if kind == "redacted_thinking":
        return {"type": kind, "data": block.get("data") or ""}
    thought, signature = block.get("thinking"), block.get("signature")
    if kind == "reasoning":  # OpenAI's item: its summary is what can be shown
        summary = block.get("summary")
        texts = [as_object(one).get("text") or "" for one in summary or ()]
        thought, signature = "\n\n".join(texts), block.get("encrypted_content")
    return {"type": "thinking", "thinking": thought or "", "signature": signature or ""}


def all_citations(message: Json) -> list[Json]:
    """Return Anthropic's citations for those of a message or delta: of pages, and of documents."""
    found = [cited for one in message.get("annotations") or () if (cited := citation(one))]
    given = message.get("citations")
    return found + [
        one
        for one in (given if isinstance(given, list) else ())
        if as_object(one).get("type") in _IN_DOCUMENTS
    ]


def citation(annotation: Any) -> Json | None:
    """Return an annotation with a URL as Anthropic's citation of a search result."""
    cited = as_object(as_object(annotation).get("url_citation"))
    if not cited.get("url"):
        return None
    return {
        "type": "web_search_result_location",
        "url": cited["url"],
        "title": cited.get("title") or "",
        "cited_text": cited.get("content") or "",
        "encrypted_index": "",
    }


def service_tier(answer: Json) -> Json:
    """Return Anthropic's word for the tier that served an answer."""
    tiers = {"default": "standard", "priority": "priority"}
    served = answer.get("service_tier")
    return {"service_tier": tiers[served]} if served in tiers else {}


def _tool_use(call: Json) -> Json:
    function = as_object(call.get("function"))
    # Arguments that were cut off spell no object; the stop reason says why.
    given = tool_input(function.get("arguments")) or {}
    block = {"type": "tool_use", "id": call.get("id") or "", "name": function.get("name") or ""}
    return {**block, "input": given}
