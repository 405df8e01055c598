"""What Cohere refuses: its SDK's own types, and the rules that its documentation states."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Literal

import cohere
from cohere.types.embed_input_type import EmbedInputType
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Json = dict[str, Any]

_SCHEMA_REFUSED = {"minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "oneOf"}


class Refused(Exception):
    """Raised for what the real service answers with a 400."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


Message = Annotated[
    cohere.UserChatMessageV2
    | cohere.AssistantChatMessageV2
    | cohere.SystemChatMessageV2
    | cohere.ToolChatMessageV2,
    Field(discriminator="role"),
]


class _Chat(_Body):
    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool
    tools: list[cohere.ToolV2] = Field(default=[], min_length=1)
    strict_tools: bool = False
    documents: list[str | cohere.Document] = []
    citation_options: cohere.CitationOptions | None = None
    response_format: Any = None
    safety_mode: Literal["CONTEXTUAL", "STRICT", "OFF"] = "CONTEXTUAL"
    max_tokens: int = Field(default=1, ge=1)
    stop_sequences: list[str] = Field(default=[], max_length=5)
    temperature: float = Field(default=0.3, ge=0)
    seed: int = Field(default=0, ge=0)
    frequency_penalty: float = Field(default=0, ge=0, le=1)
    presence_penalty: float = Field(default=0, ge=0, le=1)
    k: int = Field(default=0, ge=0, le=500)
    p: float = Field(default=0.75, ge=0.01, le=0.99)
    logprobs: bool = False
    tool_choice: Literal["REQUIRED", "NONE"] | None = None
    thinking: cohere.Thinking | None = None
    priority: int = 0


class _Embed(_Body):
    model: str
    texts: list[str] = Field(min_length=1, max_length=96)
    input_type: EmbedInputType
    output_dimension: Literal[256, 512, 1024, 1536] | None = None
    embedding_types: list[Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]]
    truncate: Literal["NONE", "START", "END"] = "END"


class _Rerank(_Body):
    model: str
    query: str
    documents: list[str]
    top_n: int = 1
    max_tokens_per_doc: int = 4096
    priority: int = 0


@cache
def _validator(kind: Any) -> Draft202012Validator:
    schema = TypeAdapter(kind).json_schema()
    for one in (schema, *schema["$defs"].values()) if "$defs" in schema else (schema,):
        if "properties" in one:
            one["additionalProperties"] = False
    return Draft202012Validator(schema)


def check_chat(body: Json) -> None:
    """Raise Refused for a body that `POST /v2/chat` would refuse."""
    _check(_Chat, body)
    roles = [message["role"] for message in body["messages"]]
    if "system" in roles[1:]:
        raise Refused("invalid request: system turn must be the first in the list")
    for message in body["messages"]:
        if message["role"] != "assistant" and not message["content"]:
            raise Refused("invalid request: message must be at least 1 token long")
    _check_calls(body["messages"])
    if "frequency_penalty" in body and "presence_penalty" in body:
        raise Refused("cannot specify both frequency_penalty and presence_penalty.")
    if "response_format" in body:
        _check_format(body)
    if body.get("tool_choice") and not body.get("tools"):
        raise Refused("tool_choice needs tools")
    if "safety_mode" in body and (body.get("tools") or body.get("documents")):
        raise Refused("safety_mode is not supported with tools or documents")


def _check_format(body: Json) -> None:
    if body.get("documents") or body.get("tools"):
        raise Refused("response_format is not supported with RAG or tools.")
    shape = body["response_format"]
    if shape.get("type") != "json_object" or shape.keys() - {"type", "json_schema"}:
        raise Refused("invalid response_format")
    if found := [word for word in _SCHEMA_REFUSED if f"'{word}'" in str(shape)]:
        raise Refused(f"unsupported keywords in json_schema: {found}")


def check_embed(body: Json) -> None:
    """Raise Refused for a body that `POST /v2/embed` would refuse."""
    _check(_Embed, body)


def check_rerank(body: Json) -> None:
    """Raise Refused for a body that `POST /v2/rerank` would refuse."""
    _check(_Rerank, body)


def _check(kind: Any, body: Json) -> None:
    error = best_match(_validator(kind).iter_errors(body))
    if error is not None:
        raise Refused(f"{'.'.join(map(str, error.path))}: {error.message[:200]}")


def _check_calls(messages: list[Json]) -> None:
    known: set[str] = set()
    for message in messages:
        known |= {call["id"] for call in message.get("tool_calls") or ()}
        if message["role"] == "tool" and message["tool_call_id"] not in known:
            raise Refused("tool_call_id names no tool call")
