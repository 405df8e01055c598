"""A canonical call as a body of Anthropic's Messages API, the model's and stream's place aside."""

from __future__ import annotations

from typing import Any

from pipeline.api import ModelEntry, find_model
from plugins.translate.canonical import CanonicalCall, Fields, Json, Loss
from plugins.translate.upstreams import anthropic_tools
from plugins.translate.upstreams.anthropic_parts import Platform
from plugins.translate.upstreams.anthropic_reasoning import thinking_for, without_thinking
from plugins.translate.upstreams.anthropic_schema import output_schema
from plugins.translate.upstreams.anthropic_turns import Turns, plain
from plugins.translate.upstreams.anthropic_words import objects
from plugins.translate.upstreams.asked_output import NEUTRAL, asked_output

DEFAULT_MAX_TOKENS = 4096
"""For a model that the catalog does not know: every Claude model can answer so much."""

_COUNTED = ("system", "messages", "tools", "tool_choice", "thinking", "output_config")
# Anthropic's fields that no other API has a word for: clients add them to a call of their own.
_EVERYWHERE = ("context_management",)
_OWN = (*_EVERYWHERE, "container", "inference_geo", "mcp_servers", "speed")
_TIERS = {"auto": "auto", "priority": "auto", "fast": "auto", "default": "standard_only"}


def message_body(call: CanonicalCall, loss: Loss, platform: Platform) -> Json:
    """Return the body for a canonical call.

    Raises:
        InvalidCall: `unsupported_by_backend`: content that can neither be carried nor left out.
    """
    fields = Fields(call.document, loss)
    # Beta features have another place at each host.
    fields.ignore("model", "stream", "stream_options", "anthropic_beta")
    entry = find_model(call.model)
    max_tokens = _max_tokens(fields, entry)
    prefills = entry is None or entry.prefill
    turns = Turns(loss, platform)
    for message in objects(fields.take("messages")):
        turns.add(message)
    body: Json = {"max_tokens": max_tokens, "messages": turns.messages(prefills=prefills)}
    output_config, instruction = _format(fields, entry, loss)
    if instruction:
        turns.system.append({"type": "text", "text": instruction})
    if turns.system:
        body["system"] = plain(turns.system)
    thinking, effort = thinking_for(fields.take("reasoning"), entry, max_tokens, loss)
    thinking = _tools(body, fields, turns, entry, thinking, loss, platform)
    if effort:
        output_config["effort"] = effort
    if thinking:
        body["thinking"] = thinking
    if output_config:
        body["output_config"] = output_config
    if call.operation == "count_tokens":
        return {key: body[key] for key in _COUNTED if key in body}
    body.update(_sampling(fields, entry, is_thinking=_thinks(thinking)))
    body.update(_rest(fields, platform))
    for name in _OWN if platform.files else _EVERYWHERE:
        if (value := fields.take(name)) is not None:
            body[name] = value
    fields.finish()
    return body


def _max_tokens(fields: Fields, entry: ModelEntry | None) -> int:
    asked = fields.take("max_completion_tokens")
    most = entry.max_output_tokens if entry else 0
    if not isinstance(asked, int):
        return most or DEFAULT_MAX_TOKENS
    if most and asked > most:
        fields.lose("max_completion_tokens")
        return most
    return asked


def _tools(
    body: Json,
    fields: Fields,
    turns: Turns,
    entry: ModelEntry | None,
    thinking: Json | None,
    loss: Loss,
    platform: Platform,
) -> Json | None:
    """Put tools and their choice into the body; return the thinking that goes with them."""
    if thinking and thinking["type"] == "enabled" and not turns.last_call_thinks():
        fields.lose("reasoning")
        thinking = None
    choice, parallel = fields.take("tool_choice"), fields.take("parallel_tool_calls")
    given = anthropic_tools.allowed(fields.take("tools"), choice)
    tools = anthropic_tools.tools(given, loss, platform, entry)
    if not tools:
        if turns.tool_names:
            body["tools"] = anthropic_tools.remembered(turns.tool_names)
            body["tool_choice"] = {"type": "none"}
        return thinking
    body["tools"] = tools
    chosen = anthropic_tools.tool_choice(choice, parallel=parallel, loss=loss)
    if chosen and chosen["type"] in ("any", "tool"):
        can_stop, quiet = without_thinking(thinking, entry)
        if not can_stop:
            fields.lose("tool_choice")
            chosen = {key: value for key, value in chosen.items() if key != "name"}
            chosen["type"] = "auto"
        else:
            if _thinks(thinking):
                fields.lose("reasoning")
            thinking = quiet
    if chosen:
        body["tool_choice"] = chosen
    return thinking


def _thinks(thinking: Json | None) -> bool:
    return thinking is not None and thinking["type"] != "disabled"


def _format(fields: Fields, entry: ModelEntry | None, loss: Loss) -> tuple[Json, str]:
    """Return the output's configuration, or the instruction that stands for it."""
    asked = asked_output(fields)
    if asked.schema is not None and (entry is None or entry.json_schema):
        taken = output_schema(asked.schema, loss, f"{asked.path}.schema")
        return {"format": {"type": "json_schema", "schema": taken}}, ""
    if asked.is_json:
        loss.add(asked.path)  # there is no grammar for just any JSON, nor for older models
    return {}, asked.instruction


def _sampling(fields: Fields, entry: ModelEntry | None, *, is_thinking: bool) -> Json:
    """Return temperature, top_p and top_k as far as the model and thinking allow."""
    given = {name: _number(fields, name) for name in ("temperature", "top_p", "top_k")}
    result: Json = {}
    if entry is not None and not entry.sampling:
        neutral: Json = {"temperature": 1, "top_p": 1, "top_k": None}
        _lose_unless(fields, given, neutral)
        return result
    temperature, top_p, top_k = given.values()
    if is_thinking:
        _lose_unless(fields, {"temperature": temperature, "top_k": top_k}, {"temperature": 1})
        if top_p is not None:
            if 0.95 <= top_p <= 1:
                result["top_p"] = top_p
            else:
                fields.lose("top_p")
        return result
    if temperature is not None:
        if temperature > 1:
            fields.lose("temperature")
        result["temperature"] = min(temperature, 1)
    if top_p is not None and temperature is None:
        result["top_p"] = top_p
    elif top_p not in (None, 1):
        fields.lose("top_p")  # newer models refuse both together
    if top_k is not None:
        result["top_k"] = top_k
    return result


def _number(fields: Fields, name: str) -> Any:
    value = fields.take(name)
    if value is None or isinstance(value, (int, float)):
        return value
    fields.lose(name)
    return None


def _lose_unless(fields: Fields, given: Json, neutral: Json) -> None:
    for name, value in given.items():
        if value is not None and value != neutral.get(name):
            fields.lose(name)


def _rest(fields: Fields, platform: Platform) -> Json:
    result: Json = {}
    stop = fields.take("stop")
    sequences = stop if isinstance(stop, list) else [stop] if stop else []
    if kept := [one for one in sequences if isinstance(one, str) and one.strip()]:
        result["stop_sequences"] = kept
    if len(kept) < len(sequences):
        fields.lose("stop")  # white space alone is refused
    user = fields.take("safety_identifier")
    fallback = fields.take("user")
    if user and fallback not in (None, user):
        fields.lose("user")
    if user or fallback:
        result["metadata"] = {"user_id": user or fallback}
    tier = fields.take("service_tier")
    known = _TIERS.get(tier) if isinstance(tier, str) else None
    if known and platform.service_tier:
        result["service_tier"] = known
    elif tier not in (None, "auto", "default"):
        fields.lose("service_tier")
    for name, value in NEUTRAL.items():
        if fields.take(name, value) != value:
            fields.lose(name)
    return result
