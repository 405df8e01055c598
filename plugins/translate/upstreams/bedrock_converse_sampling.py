"""Sampling and limits as Converse takes them."""

from __future__ import annotations

from typing import Any

from pipeline.api import ModelEntry
from plugins.translate.canonical import Fields, Json
from plugins.translate.upstreams.asked_output import NEUTRAL
from plugins.translate.upstreams.bedrock_converse_reasoning import Thoughts
from plugins.translate.upstreams.bedrock_models import Vendor

DEFAULT_MAX_TOKENS = 4096
"""For a model that the catalog does not know, where thinking needs a limit."""


def most(entry: ModelEntry | None) -> int:
    """Return the most tokens that a model answers with."""
    return (entry.max_output_tokens if entry else 0) or DEFAULT_MAX_TOKENS


def max_output_tokens(fields: Fields, entry: ModelEntry | None) -> int:
    """Return the answer's limit; 0 leaves it to Bedrock, which takes the model's own."""
    asked = fields.take("max_completion_tokens")
    most = entry.max_output_tokens if entry else 0
    if not isinstance(asked, int) or asked < 1:
        return 0
    if most and asked > most:
        fields.lose("max_completion_tokens")
        return most
    return asked


def sampling(
    fields: Fields, vendor: Vendor, entry: ModelEntry | None, thoughts: Thoughts
) -> tuple[Json, Json]:
    """Return `inferenceConfig` and what goes into the model's own fields."""
    inference: Json = {}
    extra: Json = {}
    temperature, top_p = fields.take("temperature"), fields.take("top_p")
    takes_any = (entry is None or entry.sampling) and not thoughts.bare
    if temperature is not None:
        if not takes_any or (thoughts.thinks and temperature != 1):
            _lose_unless(fields, "temperature", temperature, 1)
        elif not thoughts.thinks:
            if temperature > 1:
                fields.lose("temperature")
            inference["temperature"] = min(temperature, 1)
    if top_p is not None:
        # Claude refuses both together, and low shares of a thought.
        is_second = vendor.name == "anthropic" and "temperature" in inference
        if not takes_any or is_second or (thoughts.thinks and top_p < 0.95):
            _lose_unless(fields, "top_p", top_p, 1)
        else:
            inference["topP"] = top_p
    for name, target in vendor.extras:
        value = fields.take(name)
        if value is None or value == NEUTRAL.get(name):
            continue
        if name == "top_k" and (thoughts.thinks or not takes_any):
            fields.lose(name)
        else:
            outer, dot, inner = target.partition(".")
            extra[outer] = {inner: value} if dot else value
    return inference, extra


def _lose_unless(fields: Fields, name: str, value: Any, neutral: Any) -> None:
    if value != neutral:
        fields.lose(name)


def stop_sequences(fields: Fields) -> Json:
    """Return the part of `inferenceConfig` that ends answers."""
    stop = fields.take("stop")
    sequences = [stop] if isinstance(stop, str) else stop or []
    kept = [one for one in sequences if isinstance(one, str) and one.strip()]
    if len(kept) < len(sequences):
        fields.lose("stop")  # white space alone is refused
    return {"stopSequences": kept} if kept else {}
