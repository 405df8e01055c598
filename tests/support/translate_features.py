"""What clients may ask for: a call without a feature, and what the feature adds, by dialect."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_PNG = "iVBORw0KGgo="
_PDF = "JVBERi0xLjQKJcOkw7zDtsOfCg=="
_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_ARGUMENTS = '{"city":"Paris"}'

# --- chat
_CHAT_TOOL = {
    "type": "function",
    "function": {"name": "weather", "description": "d", "parameters": _SCHEMA},
}
_CHAT_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": _ARGUMENTS},
}


def _asks(*messages: Json) -> Json:
    return {"messages": [{"role": "user", "content": "hi"}, *messages]}


def _shows(part: Json) -> Json:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, part]}]}


_CHAT_TURN = _asks(
    {"role": "assistant", "content": "Let me see.", "tool_calls": [_CHAT_CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
)
_CHAT = {
    "system": {"messages": [{"role": "system", "content": "s"}, *_asks()["messages"]]},
    "developer": {"messages": [{"role": "developer", "content": "s"}, *_asks()["messages"]]},
    "turns": _asks({"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}),
    "image_url": _shows({"type": "image_url", "image_url": {"url": "https://x.org/y.png"}}),
    "image_data": _shows(
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PNG}"}}
    ),
    "file_data": _shows(
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{_PDF}"},
        }
    ),
    "file_id": _shows({"type": "file", "file": {"file_id": "file-1"}}),
    "audio": _shows({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
    "tools": {"tools": [_CHAT_TOOL]},
    "tool_turn": {**_CHAT_TURN, "tools": [_CHAT_TOOL]},
    "thinking_blocks": _asks(
        {
            "role": "assistant",
            "content": "a",
            "thinking_blocks": [{"type": "thinking", "thinking": "t", "signature": "s"}],
        },
        {"role": "user", "content": "b"},
    ),
    "temperature": {"temperature": 0.37},
    "top_p": {"top_p": 0.61},
    "top_k": {"top_k": 17},
    "max_completion_tokens": {"max_completion_tokens": 123},
    "max_tokens": {"max_tokens": 123},
    "stop": {"stop": ["END"]},
    "n": {"n": 2},
    "seed": {"seed": 41},
    "presence_penalty": {"presence_penalty": 0.3},
    "frequency_penalty": {"frequency_penalty": 0.3},
    "logit_bias": {"logit_bias": {"7": 1}},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "user": {"user": "u-1"},
    "metadata": {"metadata": {"a": "b"}},
    "service_tier": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "json_object": {"response_format": {"type": "json_object"}},
    "json_schema": {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": _SCHEMA, "strict": True},
        }
    },
    "reasoning_effort": {"reasoning_effort": "high"},
    "thinking": {"thinking": {"type": "enabled", "budget_tokens": 2048}},
    "verbosity": {"verbosity": "low"},
    "prediction": {"prediction": {"type": "content", "content": "x"}},
    "modalities": {"modalities": ["text", "audio"], "audio": {"voice": "a", "format": "wav"}},
    "web_search": {"web_search_options": {"search_context_size": "low"}},
    "guided_regex": {"guided_regex": "a+"},
    "prompt_cache_key": {"prompt_cache_key": "k"},
    "safety_identifier": {"safety_identifier": "k"},
    "store": {"store": True},
    "cache_control": {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}],
            }
        ]
    },
}

# --- Anthropic's messages
_CLAUDE_TOOL = {"name": "weather", "description": "d", "input_schema": _SCHEMA}
_CLAUDE_USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}
_CACHED = {"cache_control": {"type": "ephemeral"}}
_CLAUDE_RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
_CLAUDE = {
    "system": {"system": "s"},
    "turns": _asks({"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}),
    "image_url": _shows({"type": "image", "source": {"type": "url", "url": "https://x.org/y.png"}}),
    "image_data": _shows(
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PNG}}
    ),
    "file_data": _shows(
        {
            "type": "document",
            "title": "a",
            "source": {"type": "base64", "media_type": "application/pdf", "data": _PDF},
        }
    ),
    "text_document": _shows(
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "words"},
        }
    ),
    "cache_control": _shows({"type": "text", "text": "long", **_CACHED}),
    "tools": {"tools": [_CLAUDE_TOOL]},
    "tool_turn": {
        **_asks(
            {"role": "assistant", "content": [_CLAUDE_USE]},
            {"role": "user", "content": [_CLAUDE_RESULT]},
        ),
        "tools": [_CLAUDE_TOOL],
    },
    "thinking_blocks": _asks(
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "t", "signature": "s"},
                {"type": "text", "text": "a"},
            ],
        },
        {"role": "user", "content": "b"},
    ),
    "temperature": {"temperature": 0.37},
    "top_p": {"top_p": 0.61},
    "top_k": {"top_k": 17},
    "stop": {"stop_sequences": ["END"]},
    "user": {"metadata": {"user_id": "u-1"}},
    "service_tier": {"service_tier": "standard_only"},
    "thinking": {"thinking": {"type": "enabled", "budget_tokens": 2048}},
    "effort": {"output_config": {"effort": "low"}, "thinking": {"type": "adaptive"}},
    "json_schema": {"output_config": {"format": {"type": "json_schema", "schema": _SCHEMA}}},
    "web_search": {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
    "own_tool": {"tools": [{"type": "bash_20250124", "name": "bash"}]},
    "container": {"container": "c-1"},
}

# --- Responses
_ASKED = {"type": "message", "role": "user", "content": "hi"}
_TOOL = {
    "type": "function",
    "name": "weather",
    "description": "d",
    "parameters": _SCHEMA,
    "strict": False,
}
_CALLED = {
    "type": "function_call",
    "call_id": "call_1",
    "name": "weather",
    "arguments": _ARGUMENTS,
}


def _says(*items: Json) -> Json:
    return {"input": [_ASKED, *items]}


def _puts(part: Json) -> Json:
    content = [{"type": "input_text", "text": "hi"}, part]
    return {"input": [{"type": "message", "role": "user", "content": content}]}


_RESPONSES = {
    "instructions": {"instructions": "s"},
    "developer": {"input": [{"role": "developer", "content": "s"}, _ASKED]},
    "turns": _says({"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}),
    "image_url": _puts({"type": "input_image", "image_url": "https://x.org/y.png"}),
    "image_data": _puts({"type": "input_image", "image_url": f"data:image/png;base64,{_PNG}"}),
    "file_data": _puts(
        {
            "type": "input_file",
            "filename": "a.pdf",
            "file_data": f"data:application/pdf;base64,{_PDF}",
        }
    ),
    "file_url": _puts({"type": "input_file", "file_url": "https://x.org/a.pdf"}),
    "file_id": _puts({"type": "input_file", "file_id": "file-1"}),
    "tools": {"tools": [_TOOL]},
    "tool_turn": {
        **_says(_CALLED, {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}),
        "tools": [_TOOL],
    },
    "thinking_blocks": _says(
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "t"}],
            "encrypted_content": "dragoman:thinking:s",
        },
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "b"},
    ),
    "own_reasoning": _says(
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "b"},
    ),
    "temperature": {"temperature": 0.37},
    "top_p": {"top_p": 0.61},
    "max_output_tokens": {"max_output_tokens": 123},
    "logprobs": {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
    "user": {"user": "u-1"},
    "metadata": {"metadata": {"a": "b"}},
    "service_tier": {"service_tier": "flex"},
    "json_object": {"text": {"format": {"type": "json_object"}}},
    "json_schema": {
        "text": {"format": {"type": "json_schema", "name": "n", "schema": _SCHEMA, "strict": True}}
    },
    "verbosity": {"text": {"verbosity": "low"}},
    "reasoning": {"reasoning": {"effort": "high", "summary": "auto"}},
    "web_search": {"tools": [{"type": "web_search", "search_context_size": "low"}]},
    "file_search": {"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]},
    "custom_tool": {"tools": [{"type": "custom", "name": "c"}]},
    "max_tool_calls": {"max_tool_calls": 3},
    "prompt_cache_key": {"prompt_cache_key": "k"},
    "safety_identifier": {"safety_identifier": "k"},
    "truncation": {"truncation": "auto"},
    "store": {"store": True},
    "web_search_call": _says(
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}}
    ),
}

PLAIN: dict[str, Json] = {
    "openai.chat": {"model": "a-model", **_asks()},
    "anthropic.messages": {"model": "a-model", "max_tokens": 4096, **_asks()},
    "openai.responses": {"model": "a-model", "input": [_ASKED]},
    "openai.completions": {"model": "a-model", "prompt": "hi"},
    "openai.embeddings": {"model": "a-model", "input": "hi"},
    "cohere.rerank": {"model": "a-model", "query": "q", "documents": ["a", "b"]},
    "anthropic.count_tokens": {"model": "a-model", **_asks()},
    "openai.input_tokens": {"model": "a-model", "input": "hi"},
    "vllm.tokenize": {"model": "a-model", **_asks()},
}
"""A call of each dialect that asks for nothing special."""

FEATURES: dict[str, dict[str, Json]] = {
    "openai.chat": _CHAT,
    "anthropic.messages": _CLAUDE,
    "openai.responses": _RESPONSES,
}
"""What a call may have beyond that, by dialect and name."""

WITH_TOOLS: dict[str, dict[str, Json]] = {
    "openai.chat": {
        "strict": {
            "tools": [{**_CHAT_TOOL, "function": {**_CHAT_TOOL["function"], "strict": True}}]
        },
        "required": {"tool_choice": "required"},
        "none": {"tool_choice": "none"},
        "named": {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
        "one by one": {"parallel_tool_calls": False},
    },
    "anthropic.messages": {
        "strict": {"tools": [{**_CLAUDE_TOOL, "strict": True}]},
        "required": {"tool_choice": {"type": "any"}},
        "none": {"tool_choice": {"type": "none"}},
        "named": {"tool_choice": {"type": "tool", "name": "weather"}},
        "one by one": {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        "cached": {"tools": [{**_CLAUDE_TOOL, **_CACHED}]},
    },
    "openai.responses": {
        "strict": {"tools": [{**_TOOL, "strict": True}]},
        "required": {"tool_choice": "required"},
        "none": {"tool_choice": "none"},
        "named": {"tool_choice": {"type": "function", "name": "weather"}},
        "one by one": {"parallel_tool_calls": False},
        "hosted": {"tool_choice": {"type": "file_search"}},
    },
}
"""What a call with the feature `tools` may have beyond that."""
