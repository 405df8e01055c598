"""No odd value at any place of a call, an answer or a stream breaks Gemini's or Cohere's format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from pipeline.api import InvalidCall
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.upstreams.cohere import CohereOptions, CohereUpstream
from plugins.translate.upstreams.gemini import GeminiOptions, GeminiUpstream
from plugins.translate.upstreams.gemini_signatures import packed
from plugins.translate.upstreams.gemini_vertex import VertexGeminiOptions, VertexGeminiUpstream
from tests.support.providers import cohere_answers, gemini_answers

GEMINI = GeminiUpstream(GeminiOptions(), now_s=lambda: 1.0)
VERTEX = VertexGeminiUpstream(VertexGeminiOptions(), now_s=lambda: 1.0)
COHERE = CohereUpstream(CohereOptions(), now_s=lambda: 1.0)
ODD: tuple[Any, ...] = (None, 5, -1, 1.5, True, "x", "", [], [None], [5], {}, {"a": 1})
SCHEMA = {
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/b"}, "c": {"anyOf": [{}], "nullable": True}},
    "allOf": [{"oneOf": [{}]}],
    "$defs": {"b": {"const": 1}},
}
TEXT = "data:text/plain;base64,YQ=="
CHAT = {
    "messages": [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "https://a.b", "detail": "low"}},
                {"type": "file", "file": {"file_data": TEXT, "filename": "a.txt"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "thinking_blocks": [
                {"type": "thinking", "thinking": "x", "signature": packed("call0", "QUJD")},
                {"type": "reasoning", "summary": [{"text": "x"}], "encrypted_content": "s"},
            ],
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "x", "is_error": True},
    ],
    "tools": [
        {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}},
        {"type": "web_search", "web_search": {"blocked_domains": ["a"]}},
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"function": {"name": "f"}}]},
    },
    "max_completion_tokens": 5000,
    "stop": ["a"],
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "n": 2,
    "seed": 1,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "logprobs": True,
    "top_logprobs": 2,
    "modalities": ["text"],
    "reasoning": {"effort": "high", "budget_tokens": 2000, "summary": "auto"},
    "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
    "guided_json": {"type": "object"},
    "guided_choice": ["a"],
    "service_tier": "flex",
    "metadata": {"a": "b"},
    "documents": ["x"],
    "extra_body": {"google": {"thinking_config": {}}},
    "safety_settings": [{"category": "c", "threshold": "t"}],
}
EMBED = {"input": ["a"], "input_type": "query", "dimensions": 2, "embedding_types": ["float"]}
RERANK = {"query": "q", "documents": ["a"], "top_n": 1}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


def odd_copies(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in places(document):
        for odd in ODD:
            copy = json.loads(json.dumps(document))
            held = copy
            for key in path[:-1]:
                held = held[key]
            held[path[-1]] = odd
            yield copy


@pytest.mark.parametrize(
    ("upstream", "operation", "document"),
    [
        pytest.param(upstream, operation, document, id=f"{type(upstream).__name__}-{operation}")
        for upstream in (GEMINI, VERTEX, COHERE)
        for operation, document in (("chat", CHAT), ("embedding", EMBED), ("rerank", RERANK))
        if operation in upstream.operations
    ],
)
def test_odd_calls_are_carried_or_refused(upstream, operation, document):
    for copy in odd_copies(document):
        with suppress(InvalidCall):
            sent = upstream.request(CanonicalCall(operation, copy, "m"), Loss()).document
            json.dumps(sent)


def chat_of(question: str, **more: Any) -> dict[str, Any]:
    contents = [{"role": "user", "parts": [{"text": question}]}]
    return {"contents": contents, **more}


THOUGHTS = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
FUNCTIONS = {"tools": [{"functionDeclarations": [{"name": "f"}]}]}
ASKED = {"model": "m", "messages": [{"role": "user", "content": "use a tool"}], "stream": True}
TOOLS = {"tools": [{"function": {"name": "f"}}]}
PROBABLE = {**THOUGHTS["generationConfig"], "responseLogprobs": True}
ANSWERS = [
    (GEMINI, gemini_answers.response(chat_of("tool", **THOUGHTS, **FUNCTIONS), "gemini-3")),
    (GEMINI, gemini_answers.response(chat_of("x", tools=[{"googleSearch": {}}]), "gemini-3")),
    (GEMINI, gemini_answers.response(chat_of("x", generationConfig=PROBABLE), "gemini-3")),
    (GEMINI, gemini_answers.response(chat_of("block"), "gemini-3")),
    (COHERE, cohere_answers.response({**ASKED, **TOOLS, "thinking": {"type": "enabled"}})),
    (COHERE, cohere_answers.response({**ASKED, "documents": ["x"], "logprobs": True})),
]


@pytest.mark.parametrize(("upstream", "answer"), ANSWERS)
def test_odd_answers_are_read_or_told(upstream, answer):
    call = CanonicalCall("chat", {}, "m")
    for copy in odd_copies(answer):
        with suppress(ValueError):
            json.dumps(upstream.answer(copy, call))


@pytest.mark.parametrize(("upstream", "answer"), ANSWERS)
def test_odd_events_are_read_or_passed_over(upstream, answer):
    events = (gemini_answers if upstream is GEMINI else cohere_answers).events(answer)
    call = CanonicalCall("chat", {}, "m", stream=True)
    for event in events:
        for copy in odd_copies(event):
            decoder = upstream.decoder(call)
            decoder.event("", json.dumps(copy))
            decoder.event("", json.dumps(event))
            decoder.end()
