"""Gemini's words for what every provider says: finish reasons and usage."""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import Json
from plugins.translate.upstreams.anthropic_words import as_object, count

_FILTERED = frozenset(
    {"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"}
    | {"LANGUAGE", "OTHER"}
    | {"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION"}
)
_TIERS = {
    "ON_DEMAND": "default",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
    "standard": "default",
    "priority": "priority",
    "flex": "flex",
}


def ending(reason: Any, *, calls_tools: bool) -> Json:
    """Return how a choice ends, from a candidate's `finishReason`."""
    if reason == "MAX_TOKENS":
        return {"finish_reason": "length"}
    if is_filtered(reason):
        return {"finish_reason": "content_filter", "native_finish_reason": reason}
    finish = {"finish_reason": "tool_calls" if calls_tools else "stop"}
    if not reason or reason in ("STOP", "FINISH_REASON_UNSPECIFIED"):
        return finish
    return {**finish, "native_finish_reason": str(reason)}


def is_filtered(reason: Any) -> bool:
    """Say whether an answer was cut off for what it says."""
    return isinstance(reason, str) and reason in _FILTERED


def blocked(feedback: Any) -> tuple[str, str] | None:
    """Return why a prompt was refused, as a word and for people; None where it was not."""
    feedback = as_object(feedback)
    reason = feedback.get("blockReason")
    if not isinstance(reason, str):
        return None
    told = feedback.get("blockReasonMessage")
    return reason, str(told) if told else f"Gemini blocked the prompt: {reason}"


def usage_of(usage: Any) -> Json:
    """Return `usage` and `service_tier` for `usageMetadata`, nothing where there is none."""
    if not isinstance(usage, dict) or not usage:
        return {}
    thoughts = count(usage, "thoughtsTokenCount")
    # What Gemini's own tools found is read as if it had been asked.
    prompt = count(usage, "promptTokenCount") + count(usage, "toolUsePromptTokenCount")
    completion = count(usage, "candidatesTokenCount") + thoughts
    read: Json = {"cached_tokens": count(usage, "cachedContentTokenCount")}
    written: Json = {"reasoning_tokens": thoughts}
    for details, name in ((read, "promptTokensDetails"), (written, "candidatesTokensDetails")):
        if heard := _spoken(usage.get(name)):
            details["audio_tokens"] = heard
    tier = _TIERS.get(str(usage.get("serviceTier") or usage.get("trafficType")))
    return {
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": count(usage, "totalTokenCount") or prompt + completion,
            "prompt_tokens_details": read,
            "completion_tokens_details": written,
        },
        **({"service_tier": tier} if tier else {}),
    }


def _spoken(details: Any) -> int:
    found = details if isinstance(details, list) else ()
    return sum(
        count(one, "tokenCount") for one in found if as_object(one).get("modality") == "AUDIO"
    )
