"""A canonical call as the body of Converse, ConverseStream or CountTokens."""

from __future__ import annotations

import re

from pydantic import Field

from pipeline.api import ModelEntry, find_model
from plugins.translate.canonical import CanonicalCall, Fields, Json, Loss
from plugins.translate.credentials.aws import AwsOptions
from plugins.translate.upstreams.anthropic_words import as_object
from plugins.translate.upstreams.asked_output import NEUTRAL
from plugins.translate.upstreams.bedrock_converse_output import output_format
from plugins.translate.upstreams.bedrock_converse_reasoning import (
    Thoughts,
    can_be_forced,
    thoughts_for,
)
from plugins.translate.upstreams.bedrock_converse_sampling import (
    max_output_tokens,
    most,
    sampling,
    stop_sequences,
)
from plugins.translate.upstreams.bedrock_converse_tools import ToolChoices
from plugins.translate.upstreams.bedrock_converse_turns import Turns
from plugins.translate.upstreams.bedrock_models import vendor_of
from plugins.translate.upstreams.claude_betas import ON_BEDROCK, taken_betas

_COUNTED = ("messages", "system", "toolConfig", "additionalModelRequestFields")
# Converse's fields that no client's API has: clients add them to a call of their own.
_OWN = ("guardrailConfig", "performanceConfig")
_TIERS = frozenset({"default", "flex", "priority", "reserved"})
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
_METADATA = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.\-]{0,256}\Z")
_MAX_METADATA = 16
# Where Claude says which stop sequence it met, whole and streamed.
_STOPPED_BY = ["/stop_sequence", "/delta/stop_sequence"]


class BedrockOptions(AwsOptions):
    """What a backend of Bedrock's Converse takes beside the common keys."""

    guardrail_id: str = Field(default="", description="Guardrail for every call: id or ARN.")
    guardrail_version: str = Field(default="DRAFT", description="Version of the guardrail.")
    guardrail_trace: str = Field(
        default="",
        pattern="^(enabled|disabled|enabled_full)?$",
        description="Trace of the guardrail: `enabled`, `disabled` or `enabled_full`.",
    )
    guardrail_stream_mode: str = Field(
        default="",
        pattern="^(sync|async)?$",
        description="How the guardrail works on streams: `sync` or `async`.",
    )
    latency: str = Field(
        default="",
        pattern="^(standard|optimized)?$",
        description="Latency of the model: `standard` or `optimized`.",
    )
    anthropic_beta: tuple[str, ...] = Field(
        default=(), description="Beta features of Anthropic's models."
    )


def converse_body(call: CanonicalCall, loss: Loss, options: BedrockOptions) -> Json:
    """Return the body for a canonical call.

    Raises:
        InvalidCall: `unsupported_by_backend`: content that can neither be carried nor left out.
    """
    fields = Fields(call.document, loss)
    fields.ignore("model", "stream", "stream_options")
    entry, vendor = find_model(call.model), vendor_of(call.model)
    turns = Turns(loss, vendor)
    turns.extend(fields.take("messages"))
    messages = turns.messages(prefills=entry is None or entry.prefill)
    max_tokens = max_output_tokens(fields, entry)
    asked = fields.take("reasoning")
    thoughts = thoughts_for(asked, vendor, entry, max_tokens or most(entry), loss)
    if thoughts.has_budget and not turns.last_call_thinks():
        loss.add("reasoning")
        thoughts = Thoughts()
    tools = ToolChoices(fields, turns, vendor, entry, loss)
    output = output_format(fields, turns, tools, entry, loss)
    if tools.forces and vendor.is_claude and not can_be_forced(thoughts, entry, loss):
        tools.relax()
    if thoughts.effort:
        output["effort"] = thoughts.effort
    inference, extra = sampling(fields, vendor, entry, thoughts)
    inference |= _limit(max_tokens, thoughts, entry, loss) | stop_sequences(fields)
    extra |= thoughts.extra | ({"tool_choice": tools.extra} if tools.extra else {})
    extra |= as_object(fields.take("additionalModelRequestFields"))
    if vendor.name == "anthropic" and (
        betas := taken_betas(
            options.anthropic_beta, fields.take("anthropic_beta"), ON_BEDROCK, loss
        )
    ):
        extra["anthropic_beta"] = betas
    body: Json = {"messages": messages}
    parts: Json = {
        "system": turns.system,
        "toolConfig": tools.config(),
        "outputConfig": output,
        "inferenceConfig": inference,
        "additionalModelRequestFields": extra,
    }
    body.update({name: part for name, part in parts.items() if part})
    if call.operation == "count_tokens":
        return {"input": {"converse": {key: body[key] for key in _COUNTED if key in body}}}
    if vendor.name == "anthropic" and "stopSequences" in inference:
        body["additionalModelResponseFieldPaths"] = _STOPPED_BY
    body.update(_rest(fields, loss))
    for name in _OWN:
        if value := as_object(fields.take(name)):
            body[name] = value
    body.update(_configured(options, is_stream=call.stream))
    fields.finish()
    return body


def _limit(max_tokens: int, thoughts: Thoughts, entry: ModelEntry | None, loss: Loss) -> Json:
    if thoughts.has_budget:
        # The budget is part of a limit, which must be said then.
        return {"maxTokens": max_tokens or most(entry)}
    if max_tokens and thoughts.bare:
        loss.add("max_completion_tokens")
        return {}
    return {"maxTokens": max_tokens} if max_tokens else {}


def _rest(fields: Fields, loss: Loss) -> Json:
    body: Json = {}
    tier = fields.take("service_tier")
    if tier in _TIERS:
        body["serviceTier"] = {"type": tier}
    elif tier not in (None, "auto"):
        fields.lose("service_tier")
    given = as_object(fields.take("metadata"))
    user = fields.take("safety_identifier")
    fallback = fields.take("user")
    metadata = {
        str(name): str(value)
        for name, value in given.items()
        if name and _METADATA.match(str(name)) and _METADATA.match(str(value))
    }
    if len(metadata) < len(given) or len(metadata) > _MAX_METADATA:
        loss.add("metadata")
    named = user or fallback
    if isinstance(named, str) and _METADATA.match(named) and len(metadata) < _MAX_METADATA:
        metadata.setdefault("user", named)
    elif named:
        fields.lose("user")
    if user and fallback not in (None, user):
        fields.lose("user")
    if metadata:
        body["requestMetadata"] = dict(list(metadata.items())[:_MAX_METADATA])
    for name, value in NEUTRAL.items():
        if fields.take(name, value) != value:
            fields.lose(name)
    return body


def _configured(options: BedrockOptions, *, is_stream: bool) -> Json:
    body: Json = {}
    if options.guardrail_id:
        guardrail = {
            "guardrailIdentifier": options.guardrail_id,
            "guardrailVersion": options.guardrail_version,
        }
        if options.guardrail_trace:
            guardrail["trace"] = options.guardrail_trace
        if is_stream and options.guardrail_stream_mode:
            guardrail["streamProcessingMode"] = options.guardrail_stream_mode
        body["guardrailConfig"] = guardrail
    if options.latency:
        body["performanceConfig"] = {"latency": options.latency}
    return body
