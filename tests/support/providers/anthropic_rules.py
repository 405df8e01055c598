"""What Anthropic refuses: its own published types, and the rules that its documentation states."""

from __future__ import annotations

import base64
import re
from functools import cache
from typing import Any

from anthropic.types.message_count_tokens_params import MessageCountTokensParams
from anthropic.types.message_create_params import (
    MessageCreateParamsNonStreaming,
    MessageCreateParamsStreaming,
)
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticOmit

Json = dict[str, Any]

SIGNED = "sig-"
"""How the simulator's signatures begin; no other is taken back."""

_SAMPLING = {
    "temperature": {"type": "number", "minimum": 0, "maximum": 1},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    "top_k": {"type": "integer", "minimum": 0},
}
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}\Z")
_META = {"title", "description", "default", "const", "enum", "format"}
_GRAMMAR = _META | {"type", "properties", "required", "additionalProperties", "items", "minItems"}
_GRAMMAR |= {"$ref", "$defs", "definitions", "anyOf", "allOf"}
_THINKING = ("thinking", "redacted_thinking")


class Refused(Exception):
    """Raised for what the real service answers with a 400."""


class _Schemas(GenerateJsonSchema):
    def handle_invalid_for_json_schema(self, schema, info):
        raise PydanticOmit  # files and paths, which are no JSON

    def is_instance_schema(self, schema):
        raise PydanticOmit


@cache
def _validator(params: Any) -> Draft202012Validator:
    schema = TypeAdapter(params).json_schema(schema_generator=_Schemas)
    for name, one in (*schema["$defs"].items(), ("", schema)):
        if "properties" in one and name != "InputSchemaTyped":
            one["additionalProperties"] = False
    if params is not MessageCountTokensParams:
        # API version 2023-06-01 takes them; the SDK's newer one does not.
        schema["properties"] |= _SAMPLING
    return Draft202012Validator(schema)


def check(body: Json, *, counts: bool = False, urls: bool = True, version: str = "") -> None:
    """Raise Refused for a body that Anthropic would refuse.

    Args:
        body: the body, its model and stream flag in it.
        counts: whether it is to be counted only.
        urls: whether the host takes content by URL.
        version: API version; sampling is gone from 2026-10-21 on.
    """
    create = MessageCreateParamsStreaming if body.get("stream") else MessageCreateParamsNonStreaming
    error = best_match(_validator(MessageCountTokensParams if counts else create).iter_errors(body))
    if error is not None:
        raise Refused(f"{'.'.join(map(str, error.path))}: {error.message[:200]}")
    if version >= "2026" and _SAMPLING.keys() & body.keys():
        raise Refused("temperature: Extra inputs are not permitted")
    turns = [{**turn, "content": _blocks(turn["content"])} for turn in body["messages"]]
    _check_turns(turns)
    _check_blocks([*_blocks(body.get("system", [])), *_inner(turns)], urls=urls)
    _check_tools(body, turns)
    _check_thinking(body, turns)
    _check_format(body)
    if str(body).count("'cache_control': {") > 4:
        raise Refused("A maximum of 4 blocks with cache_control may be provided.")
    if any(not one.strip() for one in body.get("stop_sequences", ())):
        raise Refused("stop_sequences: each stop sequence must contain non-whitespace")


def _blocks(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _inner(turns: list[Json]) -> list[Json]:
    found = [block for turn in turns for block in turn["content"]]
    for block in list(found):
        if block["type"] == "tool_result":
            found += _blocks(block["content"]) if block.get("content") else []
    return found


def _check_turns(turns: list[Json]) -> None:
    if not turns or turns[0]["role"] != "user":
        raise Refused("messages: first message must use the user role")
    open_calls: set[str] = set()
    for turn in turns:
        results = [b["tool_use_id"] for b in turn["content"] if b["type"] == "tool_result"]
        kinds = [b["type"] for b in turn["content"]]
        if not kinds:
            raise Refused("messages: all messages must have non-empty content")
        if set(results) != open_calls or len(set(results)) != len(results):
            raise Refused("messages: `tool_use` ids and `tool_result` blocks must match")
        if results and kinds[: len(results)] != ["tool_result"] * len(results):
            raise Refused("messages: tool results must come first")
        open_calls = _uses(turn)
        if turn["role"] == "assistant" and "document" in kinds:
            raise Refused("messages: document blocks are for users")
    last = turns[-1]
    if last["role"] == "assistant" and last["content"][-1].get("text", "")[-1:].isspace():
        raise Refused("messages: final assistant content cannot end with trailing whitespace")
    if open_calls:
        raise Refused("messages: `tool_use` ids were found without `tool_result` blocks")


def _uses(turn: Json) -> set[str]:
    uses = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
    if len(set(uses)) != len(uses) or not all(map(_NAME.match, uses)):
        raise Refused("messages: `tool_use` ids must be unique and of the right form")
    return set(uses)


def _check_blocks(blocks: list[Json], *, urls: bool) -> None:
    for block in blocks:
        source = block.get("source", {})
        if block["type"] == "text" and not block["text"].strip():
            raise Refused("messages: text content blocks must contain non-whitespace text")
        if isinstance(source, dict) and source.get("type") == "base64":
            base64.b64decode(source["data"], validate=True)
        if isinstance(source, dict) and source.get("type") in ("url", "file") and not urls:
            raise Refused("messages: URL sources are not supported")
        if block["type"] == "thinking" and not block["signature"].startswith(SIGNED):
            raise Refused("messages: Invalid `signature` in `thinking` block")


def _check_tools(body: Json, turns: list[Json]) -> None:
    tools = body.get("tools", [])
    names = [tool["name"] for tool in tools]
    if len(set(names)) != len(names) or not all(map(_NAME.match, names)):
        raise Refused("tools: names must be unique and of the right form")
    for tool in tools:
        if tool.get("type") in (None, "custom") and tool["input_schema"].get("type") != "object":
            raise Refused("tools: input_schema.type: must be object")
        if tool.get("strict"):
            _check_grammar(tool["input_schema"])
        if tool.get("allowed_domains") and tool.get("blocked_domains"):
            raise Refused("tools: allowed_domains or blocked_domains, not both")
    choice = body.get("tool_choice")
    if choice and not tools:
        raise Refused("tool_choice may only be specified while providing tools")
    if choice and choice["type"] == "tool" and choice["name"] not in names:
        raise Refused("tool_choice: tool not found")
    used = any(b["type"] in ("tool_use", "tool_result") for t in turns for b in t["content"])
    if used and not tools:
        raise Refused("Requests which include tool blocks must define tools")


def _check_thinking(body: Json, turns: list[Json]) -> None:
    thinking = body.get("thinking", {"type": "disabled"})
    if thinking["type"] not in ("enabled", "adaptive"):
        if "temperature" in body and "top_p" in body:
            raise Refused("`temperature` and `top_p` cannot both be specified for this model")
        return
    if body.get("temperature", 1) != 1 or "top_k" in body or body.get("top_p", 1) < 0.95:
        raise Refused("`temperature` may only be set to 1 when thinking is enabled")
    if body.get("tool_choice", {"type": "auto"})["type"] in ("any", "tool"):
        raise Refused("Thinking may not be enabled when tool_choice forces tool use.")
    if thinking["type"] == "adaptive":
        return
    if not 1024 <= thinking["budget_tokens"] < body.get("max_tokens", 10**9):
        raise Refused("thinking: budget_tokens must be at least 1024 and less than max_tokens")
    in_loop = any(block["type"] == "tool_result" for block in turns[-1]["content"])
    if in_loop and turns[-2]["content"][0]["type"] not in _THINKING:
        raise Refused("messages: Expected `thinking` or `redacted_thinking`, but found another")


def _check_format(body: Json) -> None:
    if output := body.get("output_config", {}).get("format"):
        _check_grammar(output["schema"])


def _check_grammar(schema: Any) -> None:
    if not isinstance(schema, dict):
        return
    if unknown := schema.keys() - _GRAMMAR:
        raise Refused(f"output_config.format.schema: {sorted(unknown)} not supported")
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise Refused("output_config.format.schema: 'additionalProperties' must be false")
    for name in ("properties", "$defs", "definitions"):
        for inner in schema.get(name, {}).values():
            _check_grammar(inner)
    for inner in (*schema.get("anyOf", ()), *schema.get("allOf", ()), schema.get("items")):
        _check_grammar(inner)
