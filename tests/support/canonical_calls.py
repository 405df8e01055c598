"""Parts of canonical calls that the tests of several providers ask with."""

from __future__ import annotations

import base64

PNG = base64.b64encode(b"\x89PNG").decode()
PDF = base64.b64encode(b"%PDF-1.7").decode()
HI = [{"role": "user", "content": "hi"}]
CACHED = {"type": "ephemeral", "ttl": "1h"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def called(content, *names):
    """Return a turn that calls tools, `a` with arguments and the others without."""
    spelled = [("a", names[0], '{"city":1}'), *zip("bcd", names[1:], "   ", strict=False)]
    calls = [
        {"id": one, "type": "function", "function": {"name": name, "arguments": given.strip()}}
        for one, name, given in spelled
    ]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def results(failure, content="sun"):
    """Return the results of the calls `a` and `b`, the second of which failed."""
    return [
        {"role": "tool", "tool_call_id": "a", "content": content},
        {"role": "tool", "tool_call_id": "b", "content": failure, "is_error": True},
    ]
