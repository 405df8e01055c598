"""A canonical answer as a Response: what was asked, why it ended, what it cost."""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import Json
from plugins.translate.clients.responses_output import ItemIds, output_items
from plugins.translate.upstreams.anthropic_words import as_object, count

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
_ECHOED = (
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "temperature",
    "top_logprobs",
    "top_p",
    "user",
)
_STARTED: Json = {
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "output": [],
    "usage": None,
}


def response_answer(answer: Json, call: Json) -> Json:
    """Return the Response for a canonical answer.

    Args:
        answer: the canonical answer; of several choices the first is the output.
        call: the client's call document.
    """
    choice = (answer.get("choices") or [{}])[0]
    finish = choice.get("finish_reason")
    ids = ItemIds(answer)
    output = output_items(choice, ids, last_status(finish))
    head = started(answer, call)
    return finished(head, output, finish, answer.get("usage"), answer.get("service_tier"))


def started(answer: Json, call: Json) -> Json:
    """Return the Response as it is before its first item.

    Args:
        answer: the canonical answer, or its first chunk.
        call: the client's call document; what the type demands is repeated from it.
    """
    reasoning = as_object(call.get("reasoning"))
    return {
        "id": f"resp_{answer.get('id') or 'unknown'}",
        "object": "response",
        "created_at": answer.get("created") or 0,
        **_STARTED,
        **{name: call.get(name) for name in _ECHOED},
        "model": answer.get("model") or call.get("model") or "",
        "background": False,
        "metadata": call.get("metadata") or {},
        "parallel_tool_calls": call.get("parallel_tool_calls") is not False,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None, **reasoning},
        "service_tier": _tier(call.get("service_tier")),
        "store": False,
        "text": {"format": {"type": "text"}, **_given(call.get("text"))},
        "tool_choice": call.get("tool_choice") or "auto",
        "tools": [_tool(tool) for tool in call.get("tools") or () if isinstance(tool, dict)],
        "truncation": "disabled",
    }


def finished(head: Json, output: list[Json], finish: Any, usage: Any, tier: Any) -> Json:
    """Return the Response when all of it is known.

    Args:
        head: what `started` gave.
        output: its items.
        finish: the canonical finish reason.
        usage: the canonical usage.
        tier: the service tier that served it, if the provider said.
    """
    reason = _INCOMPLETE.get(finish)
    return {
        **head,
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "output": output,
        "service_tier": _tier(tier) or head["service_tier"],
        "usage": _usage(usage),
    }


def last_status(finish: Any) -> str:
    """Return the status of an answer's last item; those before it were completed."""
    return "incomplete" if finish in _INCOMPLETE else "completed"


def _tier(tier: Any) -> str | None:
    """Return a tier where OpenAI's clients know it."""
    return tier if isinstance(tier, str) and tier in _TIERS else None


def _tool(tool: Json) -> Json:
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": None, **tool}


def _usage(usage: Any) -> Json | None:
    if not isinstance(usage, dict) or not usage:
        return None
    read, told = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    prompt, completion = count(usage, "prompt_tokens"), count(usage, "completion_tokens")
    return {
        "input_tokens": prompt,
        "input_tokens_details": {
            "cached_tokens": count(read, "cached_tokens"),
            "cache_write_tokens": count(read, "cache_write_tokens"),
        },
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": count(told, "reasoning_tokens")},
        "total_tokens": count(usage, "total_tokens") or prompt + completion,
    }


def _given(value: Any) -> Json:
    return {k: v for k, v in as_object(value).items() if v is not None}
