"""Where an OpenAI-compatible server differs from OpenAI, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from plugins.translate.canonical import Json, Operation

ReasoningStyle = Literal["effort", "object", "thinking", "enable_thinking", "none"]
"""How a call asks for reasoning: `reasoning_effort`, OpenRouter's `reasoning`, `thinking: {type}`
with `reasoning_effort`, `enable_thinking` with `thinking_budget`, or not at all."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """What a server takes, says otherwise, and does not take.

    Args:
        operations: what it can be asked for.
        native: dialects that it speaks well enough to be left alone.
        max_tokens: its name of the answer's limit.
        max_stop: how many stop sequences it takes.
        roles: roles that it has under another name.
        parts: types of content parts that it takes.
        flat_text: whether a list of nothing but texts becomes one string.
        file_url: whether a file may be a URL.
        tool_parts: whether a tool's message takes pictures; else a user's message shows them.
        keeps_cache_control: whether `cache_control` means something to it.
        json_schema: whether it takes `response_format: json_schema`; else it gets `json_object`
            and the schema in words.
        reasoning: how a call asks for reasoning.
        efforts: levels that it takes; empty where the model decides.
        thinking_text: field of an assistant's message that takes earlier thinking, if any.
        guided: how it takes guided decoding: vLLM's way, llama.cpp's `grammar`, or not at all.
        web_search: for which models it takes `web_search_options`: any, or those of which the
            catalog knows that they search.
        takes: canonical fields beyond OpenAI's that it takes (`top_k`).
        renames: top-level fields that it has under another name.
        unsupported: fields that it refuses or ignores, dotted and without indices.
        stream_usage: whether it takes `stream_options.include_usage`.
        counts: how it counts tokens.
        finish_reasons: its words to OpenAI's.
    """

    operations: frozenset[Operation] = frozenset({"chat", "completion", "embedding"})
    native: frozenset[str] = frozenset()
    max_tokens: str = "max_completion_tokens"
    max_stop: int = 4
    roles: Mapping[str, str] = field(default_factory=dict)
    parts: frozenset[str] = frozenset({"text", "image_url", "input_audio", "file", "refusal"})
    flat_text: bool = False
    file_url: bool = False
    tool_parts: bool = False
    keeps_cache_control: bool = False
    json_schema: bool = True
    reasoning: ReasoningStyle = "effort"
    efforts: tuple[str, ...] = ()
    thinking_text: str = ""
    guided: Literal["vllm", "grammar", ""] = ""
    web_search: Literal["any", "catalog", ""] = ""
    takes: frozenset[str] = frozenset()
    renames: Mapping[str, str] = field(default_factory=dict)
    unsupported: tuple[str, ...] = ()
    stream_usage: bool = True
    counts: Literal["openai", "vllm", ""] = ""
    finish_reasons: Mapping[str, str] = field(default_factory=dict)


OPENAI = Quirks(
    operations=frozenset({"chat", "completion", "embedding", "rerank", "count_tokens"}),
    native=frozenset(
        {
            "openai.chat",
            "openai.completions",
            "openai.embeddings",
            "openai.responses",
            "openai.input_tokens",
        }
    ),
    web_search="catalog",
    counts="openai",
)
"""OpenAI itself."""

_SETS = frozenset({"operations", "native", "parts", "takes"})
_TUPLES = frozenset({"efforts", "unsupported"})


def quirks_from(document: Mapping[str, Any]) -> Quirks:
    """Return the quirks that a preset states."""
    fields: Json = dict(document)
    for name in fields.keys() & _SETS:
        fields[name] = frozenset(fields[name])
    for name in fields.keys() & _TUPLES:
        fields[name] = tuple(fields[name])
    return Quirks(**fields)


def without_field(document: Json, path: tuple[str, ...]) -> tuple[Json, bool]:
    """Return a document without a field, and whether it was there; lists are looked through."""
    name, rest = path[0], path[1:]
    value = document.get(name)
    if value is None:
        return document, False
    if not rest:
        return {key: one for key, one in document.items() if key != name}, True
    if isinstance(value, dict):
        inner, found = without_field(value, rest)
        return ({**document, name: inner}, True) if found else (document, False)
    if not isinstance(value, list):
        return document, False
    pairs = [without_field(one, rest) if isinstance(one, dict) else (one, False) for one in value]
    if not any(found for _, found in pairs):
        return document, False
    return {**document, name: [one for one, _ in pairs]}, True
