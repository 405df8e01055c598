"""What the demo adds to an answer that a dialect composed: the tokens counted and a tool call."""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]


def usage(dialect_name: str, asked: int, answered: int) -> Json:
    """Return a `usage` object in the words of the dialect."""
    if dialect_name in ("openai.chat", "openai.completions"):
        counts = {"prompt_tokens": asked, "completion_tokens": answered}
        return counts | {"total_tokens": asked + answered}
    counts = {"input_tokens": asked, "output_tokens": answered}
    if dialect_name == "anthropic.messages":
        return counts
    return counts | {
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + answered,
    }


def with_tool_call(dialect_name: str, document: Json, name: str, arguments: Json) -> Json:
    """Return an answer that calls a tool instead of saying something."""
    called = f"call_{document['id']}"
    function = {"name": name, "arguments": json.dumps(arguments)}
    match dialect_name:
        case "openai.chat":
            call = {"id": called, "type": "function", "function": function}
            choice = document["choices"][0]
            message = choice["message"] | {"content": None, "tool_calls": [call]}
            return document | {
                "choices": [choice | {"message": message, "finish_reason": "tool_calls"}]
            }
        case "openai.responses":
            item = {"type": "function_call", "id": f"fc_{called}", "call_id": called}
            return document | {"output": [item | function | {"status": "completed"}]}
        case _:
            block = {"type": "tool_use", "id": called, "name": name, "input": arguments}
            return document | {"content": [block], "stop_reason": "tool_use"}
