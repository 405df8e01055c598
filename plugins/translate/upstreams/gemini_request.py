"""A canonical call as the body of Gemini's `generateContent`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.api import ModelEntry, find_model
from plugins.translate.canonical import CanonicalCall, Fields, Json, Loss
from plugins.translate.upstreams.anthropic_words import as_object, objects
from plugins.translate.upstreams.asked_output import asked_output
from plugins.translate.upstreams.gemini_contents import Contents
from plugins.translate.upstreams.gemini_thinking import is_signed, thinking_config
from plugins.translate.upstreams.gemini_tools import GEMINI_SCHEMA, tools_body
from plugins.translate.upstreams.schema_subset import fitted

_MAX_STOPS = 5
_MAX_LOGPROBS = 20
_MAX_SEED = 2**31
_SAME = {"presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty"}
_SAMPLING = {"temperature": "temperature", "top_p": "topP", "top_k": "topK"}
_NEUTRAL: dict[str, Any] = {"store": False, "verbosity": "medium", "stream": False}
_TIERS = {"default": "standard", "flex": "flex", "priority": "priority"}
_MODALITIES = {"text": "TEXT", "image": "IMAGE"}
# What cached content has already, and must not be said again.
_CACHED = {"systemInstruction": "messages.role", "tools": "tools", "toolConfig": "tool_choice"}
_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}\Z")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Platform:
    """What a host of Gemini takes.

    Args:
        labels: labels for billing, from the call's metadata.
        excludes_domains: web searches that leave out domains.
        safety_settings: harm categories and thresholds for every call without its own.
        cached_content: resource name of the content that calls without their own go on from.
    """

    labels: bool = False
    excludes_domains: bool = False
    safety_settings: Sequence[Mapping[str, str]] = field(default=())
    cached_content: str = ""


def content_body(call: CanonicalCall, loss: Loss, platform: Platform) -> Json:
    """Return the body for a canonical call.

    Raises:
        InvalidCall: `unsupported_by_backend`: content that can neither be carried nor left out.
    """
    fields = Fields(call.document, loss)
    fields.ignore("model", "stream", "stream_options", "prompt_cache_key", "prompt_cache_retention")
    entry = find_model(call.model)
    contents = Contents(loss, is_signed=is_signed(entry))
    for message in objects(fields.take("messages")):
        contents.add(message)
    body: Json = {"contents": contents.contents()}
    if contents.system:
        body["systemInstruction"] = {"parts": contents.system}
    body.update(tools_body(fields, loss, excludes_domains=platform.excludes_domains))
    google = Fields(
        as_object(as_object(fields.take("extra_body")).get("google")), loss, "extra_body.google"
    )
    config = _generation_config(fields, google, entry, loss, has_tools="tools" in body)
    if config:
        body["generationConfig"] = config
    body.update(_rest(fields, google, platform))
    if "cachedContent" in body:
        for name, lost in _CACHED.items():
            if body.pop(name, None):
                loss.add(lost)
    google.finish()
    fields.finish()
    return body


def _generation_config(
    fields: Fields, google: Fields, entry: ModelEntry | None, loss: Loss, *, has_tools: bool
) -> Json:
    config: Json = {}
    limit = fields.take("max_completion_tokens")
    most = entry.max_output_tokens if entry else 0
    if isinstance(limit, int):
        if most and limit > most:
            fields.lose("max_completion_tokens")
        config["maxOutputTokens"] = min(limit, most) if most else limit
    for names, taken in ((_SAMPLING, entry is None or entry.sampling), (_SAME, True)):
        for name, theirs in names.items():
            value = fields.take(name)
            if value is not None and taken:
                config[theirs] = value
            elif value is not None:
                fields.lose(name)
    config.update(_choices(fields, entry))
    if thinking := thinking_config(fields.take("reasoning"), entry, limit, loss):
        config["thinkingConfig"] = thinking
    if isinstance(given := google.take("thinking_config"), dict):
        config["thinkingConfig"] = given
    shape = _format(fields, loss)
    if has_tools and shape and not is_signed(entry):
        # Models before Gemini 3 take either functions or a format.
        loss.add("response_format")
        shape = {}
    # What a client says in Gemini's own words it means for Gemini.
    return {**config, **shape, **as_object(fields.take("generationConfig"))}


def _choices(fields: Fields, entry: ModelEntry | None) -> Json:
    config: Json = {}
    if (count := fields.take("n", 1)) != 1:
        config["candidateCount"] = count
    stop = fields.take("stop")
    sequences = stop if isinstance(stop, list) else [stop] if stop else []
    if kept := [one for one in sequences if isinstance(one, str) and one][:_MAX_STOPS]:
        config["stopSequences"] = kept
    if len(kept) < len(sequences):
        fields.lose("stop")
    if (seed := fields.take("seed")) is not None:
        if isinstance(seed, int) and -_MAX_SEED <= seed < _MAX_SEED:
            config["seed"] = seed
        else:
            fields.lose("seed")
    return {**config, **_shown(fields, entry)}


def _shown(fields: Fields, entry: ModelEntry | None) -> Json:
    """Return what the answer shows beside its text: probabilities, images."""
    config: Json = {}
    shows, top = fields.take("logprobs", default=False), fields.take("top_logprobs", 0)
    if shows and (entry is None or entry.logprobs):
        config["responseLogprobs"] = True
        if isinstance(top, int) and top > 0:
            config["logprobs"] = min(top, _MAX_LOGPROBS)
    elif shows:
        fields.lose("logprobs")
    modalities = fields.take("modalities", ["text"])
    if modalities != ["text"]:
        asked = [str(one) for one in modalities] if isinstance(modalities, list) else [""]
        if set(asked) <= _MODALITIES.keys():
            config["responseModalities"] = [_MODALITIES[one] for one in asked]
        else:
            fields.lose("modalities")
    return config


def _format(fields: Fields, loss: Loss) -> Json:
    asked = asked_output(fields)
    if asked.schema is not None:
        taken = fitted(asked.schema, GEMINI_SCHEMA, loss, f"{asked.path}.schema")
        return {"responseMimeType": "application/json", "responseJsonSchema": taken}
    if asked.is_json:
        return {"responseMimeType": "application/json"}
    choices = fields.take("guided_choice")
    if isinstance(choices, list) and choices:
        words = {"type": "STRING", "enum": [str(one) for one in choices]}
        return {"responseMimeType": "text/x.enum", "responseSchema": words}
    return {}


def _rest(fields: Fields, google: Fields, platform: Platform) -> Json:
    body: Json = {}
    settings = _own(fields, google, "safety_settings", "safetySettings")
    if settings := settings or [dict(one) for one in platform.safety_settings]:
        body["safetySettings"] = settings
    cached = _own(fields, google, "cached_content", "cachedContent")
    if cached := cached or platform.cached_content:
        body["cachedContent"] = cached
    tier = str(fields.take("service_tier", "auto"))
    if tier in _TIERS:
        body["serviceTier"] = _TIERS[tier]
    elif tier != "auto":
        fields.lose("service_tier")
    if labels := _labels(fields, platform):
        body["labels"] = labels
    for name, value in _NEUTRAL.items():
        if fields.take(name, value) != value:
            fields.lose(name)
    return body


def _own(fields: Fields, google: Fields, name: str, spelled: str) -> Any:
    """Take a field of Gemini's, which clients spell as its SDKs or its API do."""
    return fields.take(name) or fields.take(spelled) or google.take(name)


def _labels(fields: Fields, platform: Platform) -> Json:
    metadata = fields.take("metadata")
    if not isinstance(metadata, dict) or not metadata:
        return {}
    kept = {
        name: value
        for name, value in metadata.items()
        if _LABEL_KEY.match(name) and isinstance(value, str) and _LABEL_VALUE.match(value)
    }
    if not platform.labels:
        kept = {}
    if len(kept) < len(metadata):
        fields.lose("metadata")
    return kept
