"""No odd value at any place of a call, an answer or a stream breaks the translation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from pipeline.api import InvalidCall
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.clients.chat import ChatClient
from plugins.translate.clients.messages import MessagesClient
from plugins.translate.upstreams.anthropic import AnthropicOptions, AnthropicUpstream
from tests.support.providers.anthropic_answers import events, message

UPSTREAM = AnthropicUpstream(AnthropicOptions(), now_s=lambda: 1.0)
ODD: tuple[Any, ...] = (None, 5, -1, 1.5, True, "x", "", [], [None], [5], {}, {"a": 1})
CACHED = {"type": "ephemeral", "ttl": "1h"}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": ["string", "null"], "enum": ["x"]}},
    "anyOf": [{}],
}

CANONICAL = {
    "messages": [
        {"role": "system", "content": "s"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a", "cache_control": CACHED},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                {"type": "file", "file": {"file_data": "data:text/plain;base64,AA=="}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "thinking_blocks": [{"type": "thinking", "thinking": "x", "signature": "s"}],
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "x", "is_error": True},
    ],
    "tools": [
        {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}},
        {"type": "web_search", "web_search": {"user_location": {"city": "x"}}},
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"function": {"name": "f"}}]},
    },
    "max_completion_tokens": 5000,
    "stop": ["a"],
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 4,
    "reasoning": {"effort": "low", "budget_tokens": 2000, "summary": "auto"},
    "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}},
    "service_tier": "auto",
}
CHAT = {
    **CANONICAL,
    "messages": [
        *CANONICAL["messages"],
        {"role": "assistant", "function_call": {"name": "f", "arguments": ""}},
        {"role": "function", "name": "f", "content": "x"},
        {"role": "user", "content": [{"text": "x", "prompt_cache_breakpoint": {"ttl": "30m"}}]},
    ],
    "functions": [{"name": "f"}],
    "function_call": {"name": "f"},
    "thinking": {"type": "enabled", "budget_tokens": 5},
    "web_search_options": {"user_location": {"approximate": {}}},
    "structured_outputs": {"json": {}},
}
MESSAGES = {
    "model": "m",
    "system": [{"type": "text", "text": "x"}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png"}},
                {"type": "document", "source": {"type": "content", "content": [{"text": "x"}]}},
                {"type": "search_result", "title": "x", "content": [{"text": "z"}]},
                {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text"}]},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "x", "signature": "y"},
                {"type": "tool_use", "id": "a", "name": "f", "input": {}},
            ],
        },
    ],
    "tools": [
        {"name": "f", "input_schema": {}},
        {"type": "web_search_20250305", "user_location": {"city": "x"}},
    ],
    "tool_choice": {"type": "tool", "name": "f"},
    "thinking": {"type": "enabled", "budget_tokens": 5},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    "metadata": {"user_id": "x"},
    "service_tier": "auto",
    "cache_control": CACHED,
}
BODY = {
    "model": "m",
    "messages": [{"role": "user", "content": "use a tool"}],
    "tools": [{"name": "f", "input_schema": {}}],
    "thinking": {"type": "adaptive"},
}
SEARCH = {"model": "m", "messages": [{"role": "user", "content": "search"}]}


def oddities(document: Any) -> Iterator[Any]:
    """Yield the document with each of its values replaced by each odd one."""
    text = json.dumps(document)
    for path in list(places(document)):
        for odd in ODD:
            copy = json.loads(text)
            holder = copy
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = odd
            yield copy


def places(document: Any, at: tuple = ()) -> Iterator[tuple]:
    if at:
        yield at
    if isinstance(document, dict | list):
        pairs = document.items() if isinstance(document, dict) else enumerate(document)
        for key, value in pairs:
            yield from places(value, (*at, key))


def requested(document):
    return UPSTREAM.request(CanonicalCall("chat", document, "m"), Loss()).document


@pytest.mark.parametrize(
    ("document", "client"),
    [(CANONICAL, None), (CHAT, ChatClient()), (MESSAGES, MessagesClient())],
    ids=["canonical", "chat", "messages"],
)
def test_an_odd_call_is_carried_or_refused(document, client):
    carried = 0
    for odd in oddities(document):
        with suppress(InvalidCall):
            canonical = odd if client is None else client.canonical(odd, Loss())
            json.dumps(requested(canonical))
            carried += 1
    assert carried > 100


@pytest.mark.parametrize("body", [BODY, SEARCH], ids=["tool", "search"])
def test_an_odd_answer_is_an_answer_or_none(body):
    answers = 0
    for odd in oddities(message(body)):
        # Whoever calls makes a 502 of these.
        with suppress(ValueError, TypeError, AttributeError):
            answer = UPSTREAM.answer(odd, CanonicalCall("chat", {}, "m"))
            json.dumps(MessagesClient().answer(answer, {}))
            answers += 1
    assert answers > 100


def test_a_stream_without_any_one_field_still_ends():
    whole = list(events(message(BODY)))
    for number, event in enumerate(whole):
        for path in places(event):
            copy = json.loads(json.dumps(event))
            holder = copy
            for step in path[:-1]:
                holder = holder[step]
            holder[path[-1]] = None
            changed = [*whole[:number], copy, *whole[number + 1 :]]
            decoder = UPSTREAM.decoder(CanonicalCall("chat", {}, "m"))
            encoder = MessagesClient().encoder({})

            chunks = [c for one in changed for c in decoder.event("", json.dumps(one))]

            written = b"".join(encoder.chunk(chunk) for chunk in chunks) + encoder.end()
            assert written.endswith(b'data: {"type":"message_stop"}\n\n')
