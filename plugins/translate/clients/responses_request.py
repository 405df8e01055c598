"""Calls of Responses as canonical calls."""

from __future__ import annotations

from typing import Any

from pipeline.api import InvalidCall
from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.clients.responses_items import messages
from plugins.translate.clients.responses_tools import move_tools
from plugins.translate.upstreams.anthropic_words import as_object

_SAME = (
    "model",
    "temperature",
    "top_p",
    "metadata",
    "user",
    "safety_identifier",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    # What OpenAI's chat has and Responses has not; other servers take them here too.
    "top_k",
    "seed",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
)
_STATEFUL = ("previous_response_id", "conversation", "prompt")
_LOGPROBS = "message.output_text.logprobs"
_ALWAYS_INCLUDED = frozenset({_LOGPROBS, "reasoning.encrypted_content"})


def canonical_call(document: Json, loss: Loss) -> Json:
    """Return the canonical call for a document of the Responses API.

    Raises:
        InvalidCall: it builds on something that only OpenAI has stored.
    """
    fields = Fields(document, loss)
    _refuse_stored(fields)
    call: Json = {name: value for name in _SAME if (value := fields.take(name)) is not None}
    if isinstance(call.get("stop"), str):
        call["stop"] = [call["stop"]]
    call["messages"] = messages(fields.take("input", ()), loss)
    if instructions := fields.take("instructions"):
        call["messages"].insert(0, {"role": "system", "content": instructions})
    if (limit := fields.take("max_output_tokens")) is not None:
        call["max_completion_tokens"] = limit
    if fields.take("stream") is True:
        # The last event of a response always says what it cost.
        call["stream"], call["stream_options"] = True, {"include_usage": True}
    fields.ignore("stream_options")
    move_tools(call, fields, loss)
    _text(call, fields, loss)
    _reasoning(call, fields, loss)
    _logprobs(call, fields)
    if fields.take("store") is True:
        fields.lose("store")
    if fields.take("truncation", "disabled") != "disabled":
        fields.lose("truncation")
    fields.finish()
    return call


def _refuse_stored(fields: Fields) -> None:
    for name in _STATEFUL:
        if fields.take(name) is not None:
            message = f"{name} names what only the provider that stored it has"
            raise InvalidCall(message, code="unsupported_by_backend", param=name)
    if fields.take("background") is True:
        message = "an answer in the background cannot be kept: ask for it without"
        raise InvalidCall(message, code="unsupported_by_backend", param="background")


def _text(call: Json, fields: Fields, loss: Loss) -> None:
    text = Fields(as_object(fields.take("text")), loss, "text")
    if verbosity := text.take("verbosity"):
        call["verbosity"] = verbosity
    given = as_object(text.take("format"))
    kind = given.get("type")
    if kind == "json_schema":
        schema = {k: v for k, v in given.items() if k != "type" and v is not None}
        call["response_format"] = {"type": kind, kind: schema}
    elif kind == "json_object":
        call["response_format"] = {"type": kind}
    elif kind not in (None, "text"):
        text.lose("format")
    text.finish()


def _reasoning(call: Json, fields: Fields, loss: Loss) -> None:
    asked = Fields(as_object(fields.take("reasoning")), loss, "reasoning")
    reasoning: Json = {}
    if (effort := asked.take("effort")) is not None:
        reasoning["effort"] = effort
    summary, older = asked.take("summary"), asked.take("generate_summary")
    if summary or older:
        reasoning["summary"] = summary or older
    for name, usual in (("context", "auto"), ("mode", "standard")):
        if asked.take(name, usual) != usual:
            asked.lose(name)
    asked.finish()
    if reasoning:
        call["reasoning"] = reasoning


def _logprobs(call: Json, fields: Fields) -> None:
    given: Any = fields.take("include", ())
    include = [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
    top = fields.take("top_logprobs")
    if _LOGPROBS in include or top:
        call["logprobs"] = True
        if top is not None:
            call["top_logprobs"] = top
    if set(include) - _ALWAYS_INCLUDED:
        fields.lose("include")
