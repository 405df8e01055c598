"""Anthropic's words for what every provider says: stop reasons, usage, errors, tool arguments."""

from __future__ import annotations

import json
from typing import Any

from plugins.translate.canonical import Json

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
TELLING_STOP_REASONS = frozenset({"pause_turn", "model_context_window_exceeded", "refusal"})
"""Stop reasons that say more than the finish reason that they become."""

ERROR_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_ERROR_TYPES = {
    **{status: word for word, status in ERROR_STATUS.items()},
    408: "timeout_error",
    503: "overloaded_error",
}


def error_type(status: int) -> str:
    """Return Anthropic's word for the kind of fault that an HTTP status stands for."""
    return _ERROR_TYPES.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def stop_reason(choice: Json, *, calls_tools: bool, refuses: bool) -> str:
    """Return Anthropic's stop reason for a canonical choice."""
    native = choice.get("native_finish_reason")
    if native in TELLING_STOP_REASONS:
        return str(native)
    if choice.get("stop_sequence"):
        return "stop_sequence"
    finish = choice.get("finish_reason")
    if finish == "length":
        return "max_tokens"
    if finish == "content_filter" or refuses:
        return "refusal"
    # Some servers say `stop` beside a call.
    return "tool_use" if calls_tools else "end_turn"


def canonical_usage(usage: Json) -> Json:
    """Return OpenAI's usage for Anthropic's, whose input tokens leave out cached ones."""
    read = count(usage, "cache_read_input_tokens")
    written = count(usage, "cache_creation_input_tokens")
    prompt = count(usage, "input_tokens") + read + written
    completion = count(usage, "output_tokens")
    result: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
    }
    if isinstance(details := usage.get("output_tokens_details"), dict):
        thinking = count(details, "thinking_tokens")
        result["completion_tokens_details"] = {"reasoning_tokens": thinking}
    return result


def anthropic_usage(usage: Any) -> Json:
    """Return Anthropic's usage for OpenAI's; zeros where it is unknown."""
    usage = as_object(usage)
    details = usage.get("prompt_tokens_details")
    read, written = count(details, "cached_tokens"), count(details, "cache_write_tokens")
    result = {
        "input_tokens": max(0, count(usage, "prompt_tokens") - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": count(usage, "completion_tokens"),
    }
    thinking = count(usage.get("completion_tokens_details"), "reasoning_tokens")
    if thinking:
        return {**result, "output_tokens_details": {"thinking_tokens": thinking}}
    return result


def count(document: Any, name: str) -> int:
    """Return a number of tokens, 0 for whatever is none."""
    value = as_object(document).get(name)
    return value if isinstance(value, int) and value > 0 else 0


def as_object(value: Any) -> Json:
    """Return a JSON object as it is, and whatever is none as an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: Any) -> list[Json]:
    """Return the objects of a list, none for whatever is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def tool_input(arguments: Any) -> Json | None:
    """Return the object that a tool call's arguments spell; None when they spell none."""
    if isinstance(arguments, dict):
        return arguments
    if not isinstance(arguments, str):
        return None
    if not arguments.strip():
        return {}
    try:
        parsed = json.loads(arguments, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def tool_arguments(given: Any) -> str:
    """Return a tool's input as the JSON text that canonical calls carry."""
    return json.dumps(given if given is not None else {}, ensure_ascii=False, separators=(",", ":"))


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and the infinities are no JSON: nothing could be sent on
