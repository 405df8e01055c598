"""A tool call's second turn: what a provider thought and called comes back to it by any client."""

from __future__ import annotations

import json

import pytest

from plugins.translate.chunks import chunks_of
from plugins.translate.clients import CLIENTS
from plugins.translate.upstreams import SPECS
from tests.support.canonical_answers import answer
from tests.support.translate_features import FEATURES, PLAIN
from tests.support.translate_matrix import CHATS, attempted, connection, folded

CALL = {
    "id": "call_7",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Lyon"}'},
}
# How each provider's answers come in canonical form: what it thought, and its signatures.
CLAUDE = [
    {"type": "thinking", "thinking": "They ask for Lyon.", "signature": "c2lnbmVk=="},
    {"type": "redacted_thinking", "data": "aGlkZGVu"},
]
GEMINI = [
    {
        "type": "thinking",
        "thinking": "They ask for Lyon.",
        "signature": "gemini:thought:dGhvdWdodA==",
    },
    {"type": "thinking", "thinking": "", "signature": "gemini:call0:Y2FsbGVk"},
]
THOUGHTS = {
    "anthropic": (CLAUDE, ["They ask for Lyon.", "c2lnbmVk==", "aGlkZGVu"]),
    "vertex_claude": (CLAUDE, ["They ask for Lyon.", "c2lnbmVk==", "aGlkZGVu"]),
    "aws_bedrock_invoke": (CLAUDE, ["They ask for Lyon.", "c2lnbmVk==", "aGlkZGVu"]),
    "aws_bedrock": (CLAUDE, ["They ask for Lyon.", "c2lnbmVk==", "aGlkZGVu"]),
    "gemini": (GEMINI, ["Y2FsbGVk"]),
    "vertex_gemini": (GEMINI, ["Y2FsbGVk"]),
}
CELLS = [
    pytest.param(spec, dialect, id=f"{dialect}-{spec.name}")
    for spec in SPECS
    for dialect in CHATS
    if attempted(connection(spec), dialect, PLAIN[dialect]).translation is not None
]


def second_turn(dialect, document):
    """Return the call that a client makes next, with the answer and its tool's result."""
    plain = {**PLAIN[dialect], **FEATURES[dialect]["tools"]}
    if dialect == "openai.responses":
        result = {"type": "function_call_output", "call_id": "call_7", "output": "sunny"}
        return {**plain, "input": [*plain["input"], *document["output"], result]}
    if dialect == "openai.chat":
        said = document["choices"][0]["message"]
        result = {"role": "tool", "tool_call_id": "call_7", "content": "sunny"}
    else:
        blocks = [{k: v for k, v in one.items() if v is not None} for one in document["content"]]
        said = {"role": "assistant", "content": blocks}
        results = [{"type": "tool_result", "tool_use_id": "call_7", "content": "sunny"}]
        result = {"role": "user", "content": results}
    return {**plain, "messages": [*plain["messages"], said, result]}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("spec", "dialect"), CELLS)
def test_thoughts_calls_and_results_come_back_to_their_provider(spec, dialect, streams):
    blocks, expected = THOUGHTS.get(spec.name, ([], []))
    message = {"content": "Let me see.", "tool_calls": [CALL]}
    told = answer({**message, "thinking_blocks": blocks} if blocks else message, "tool_calls")
    client = CLIENTS[dialect]
    if streams:
        encoder = client.encoder({**PLAIN[dialect], "stream": True})
        raw = b"".join(map(encoder.chunk, chunks_of(told))) + encoder.end()
        document = folded(dialect, raw)
    else:
        document = client.answer(told, PLAIN[dialect])

    attempt = attempted(connection(spec), dialect, second_turn(dialect, document))

    sent = json.dumps(json.loads(attempt.body or b"{}"), ensure_ascii=False)
    for text in (*expected, "Let me see.", "weather", "Lyon", "sunny"):
        assert text in sent
    assert "dragoman" not in sent
    assert "gemini:" not in sent
    assert "messages.thinking_blocks" not in attempt.dropped
