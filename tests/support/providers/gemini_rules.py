"""What Gemini refuses: google-genai's own types, and the rules that its documentation states."""

from __future__ import annotations

import json
import warnings
from typing import Any

from google.genai import types
from google.genai._common import BaseModel
from pydantic import ValidationError

Json = dict[str, Any]

SIGNATURE = "U2ltU2ln"
"""How the simulator's signatures begin; no other is taken back but the documented word."""

SKIP = "skip_thought_signature_validator"

_SCHEMA_KEYWORDS = {
    *("type", "format", "title", "description", "enum", "items", "prefixItems", "minItems"),
    *("maxItems", "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties"),
    *("required", "propertyOrdering"),
}
_DATA = (
    "text",
    "inline_data",
    "file_data",
    "function_call",
    "function_response",
    "executable_code",
    "code_execution_result",
)


class Refused(Exception):
    """Raised for what the real service answers with a 400."""


class _Generate(BaseModel):
    contents: list[types.Content]
    system_instruction: types.Content | None = None
    tools: list[types.Tool] | None = None
    tool_config: types.ToolConfig | None = None
    safety_settings: list[types.SafetySetting] | None = None
    generation_config: types.GenerationConfig | None = None
    cached_content: str | None = None
    service_tier: types.ServiceTier | None = None
    labels: dict[str, str] | None = None
    model: str | None = None


class _Embed(BaseModel):
    model: str | None = None
    content: types.Content
    task_type: str | None = None
    title: str | None = None
    output_dimensionality: int | None = None
    embed_content_config: types.EmbedContentConfig | None = None


def check(body: Json, *, model: str, is_vertex: bool = False, counts: bool = False) -> None:
    """Raise Refused for a body that Gemini would refuse.

    Args:
        body: the body of `generateContent`.
        model: its model; Gemini 3 has rules of its own.
        is_vertex: whether it goes to Vertex AI.
        counts: whether it is to be counted only.
    """
    call = _validated(_Generate, body)
    is_new = "gemini-3" in model
    if not call.contents:
        raise Refused("contents is not specified")
    for content in call.contents:
        _check_content(content)
    _check_turns(call.contents, is_new=is_new)
    _check_tools(call, is_new=is_new, is_vertex=is_vertex)
    if call.labels and not is_vertex:
        raise Refused('Unknown name "labels"')
    if call.model and not counts:
        raise Refused('Unknown name "model"')
    if call.cached_content and (call.system_instruction or call.tools or call.tool_config):
        raise Refused("CachedContent can not be used with system_instruction or tools")
    if call.generation_config is not None:
        _check_config(call.generation_config, is_new=is_new)


def _check_config(config: types.GenerationConfig, *, is_new: bool) -> None:
    if len(config.stop_sequences or ()) > 5:
        raise Refused("stop_sequences must have at most 5 items")
    if (config.response_json_schema is not None) and (
        config.response_mime_type != "application/json" or config.response_schema
    ):
        raise Refused("response_json_schema needs response_mime_type")
    _check_schema(config.response_json_schema)
    if config.thinking_config is not None:
        thinking = config.thinking_config
        if thinking.thinking_budget is not None and thinking.thinking_level is not None:
            raise Refused("You can only set only one of thinking budget and thinking level.")
        if thinking.thinking_level and not is_new:
            raise Refused("Thinking level is not supported for this model.")


def check_embedding(body: Json) -> None:
    """Raise Refused for what no endpoint for embeddings would take."""
    requests = body.get("requests")
    for one in [body] if requests is None else requests:
        request = _validated(_Embed, one)
        if not all(part.text for part in request.content.parts or ()):
            raise Refused("content is empty")


def _validated(kind: Any, body: Json) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # how the SDK says that it does not know a word
            return kind.model_validate_json(json.dumps(body), by_alias=True, by_name=False)
    except (ValidationError, UserWarning) as error:
        raise Refused(f"Invalid JSON payload received: {error}"[:500]) from None


def _check_content(content: types.Content) -> None:
    if content.role not in ("user", "model"):
        raise Refused("Please use a valid role: user, model.")
    if not content.parts:
        raise Refused("contents.parts must not be empty.")
    for part in content.parts:
        if sum(getattr(part, name) is not None for name in _DATA) != 1:
            raise Refused("required oneof field 'data' must have one initialized field")
        if part.text == "" and part.thought_signature is None:
            raise Refused("contents.parts.text must not be empty")
        blob, file = part.inline_data, part.file_data
        if (blob and not blob.mime_type) or (file and not (file.mime_type and file.file_uri)):
            raise Refused("mimeType is required")


def _check_turns(contents: list[types.Content], *, is_new: bool) -> None:
    asked = 0  # where the current turn begins
    for place, content in enumerate(contents):
        if content.role == "user" and not _all(content, "function_response"):
            asked = place
    for place, content in enumerate(contents):
        calls, results = _all(content, "function_call"), _all(content, "function_response")
        before = contents[place - 1] if place else None
        if calls and (before is None or before.role != "user"):
            raise Refused("function call turn must come immediately after a user turn")
        if results:
            made = _all(before, "function_call") if before else []
            if [(one.id, one.name) for one in made] != [(one.id, one.name) for one in results]:
                raise Refused("function response parts must equal the function call parts")
        for part in content.parts or ():
            _check_signature(part)
        first = next((part for part in content.parts or () if part.function_call), None)
        if is_new and place > asked and first is not None and first.thought_signature is None:
            raise Refused("Function call is missing a thought_signature in functionCall parts.")


def _check_signature(part: types.Part) -> None:
    if part.thought_signature is None:
        return
    spelled = json.loads(part.model_dump_json(by_alias=True))["thoughtSignature"]
    if not spelled.startswith(SIGNATURE) and spelled.replace("-", "_") != SKIP:
        raise Refused("Corrupted thought signature.")


def _all(content: types.Content, name: str) -> list[Any]:
    return [found for part in content.parts or () if (found := getattr(part, name)) is not None]


def _check_tools(call: Any, *, is_new: bool, is_vertex: bool) -> None:
    functions = [one for tool in call.tools or () for one in tool.function_declarations or ()]
    searches = [tool.google_search for tool in call.tools or () if tool.google_search is not None]
    if functions and searches:
        raise Refused("Tool use with function calling is unsupported")
    if any(one.exclude_domains for one in searches) and not is_vertex:
        raise Refused('Unknown name "excludeDomains"')
    for one in functions:
        if not one.name or one.parameters is not None:
            raise Refused("function_declarations: name is required")
        _check_schema(one.parameters_json_schema)
    config = call.tool_config and call.tool_config.function_calling_config
    if config and config.allowed_function_names:
        if config.mode.value not in ("ANY", "VALIDATED"):
            raise Refused("allowed_function_names needs mode ANY")
        if not set(config.allowed_function_names) <= {one.name for one in functions}:
            raise Refused("allowed_function_names must be declared")
    mime = call.generation_config and call.generation_config.response_mime_type
    if functions and mime == "application/json" and not is_new:
        raise Refused("Function calling with a response mime type is unsupported")


def _check_schema(schema: Any) -> None:
    if not isinstance(schema, dict):
        return
    if unknown := schema.keys() - _SCHEMA_KEYWORDS:
        raise Refused(f"unknown schema keywords {sorted(unknown)}")
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    for one in (*inner, schema.get("items"), schema.get("additionalProperties")):
        _check_schema(one)
