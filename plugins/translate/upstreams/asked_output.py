"""What a canonical call asks of its answer's form, before a provider has its say."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from plugins.translate.canonical import Fields, Json
from plugins.translate.upstreams.anthropic_words import as_object

NEUTRAL: dict[str, Any] = {
    "n": 1,
    "logprobs": False,
    "top_logprobs": 0,
    "store": False,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "modalities": ["text"],
    "verbosity": "medium",
}
"""Values that ask a model with one choice, no penalties and no probabilities for nothing."""

_JSON_ONLY = "Answer with one JSON object and nothing else: no prose around it, no code fence."


@dataclass(frozen=True, slots=True)
class AskedOutput:
    """The form that an answer shall have.

    Args:
        schema: a JSON schema; None where there is none.
        path: dotted name of the field that has it.
        name, description: what its client calls it and says of it, where it does.
        is_json: whether the answer shall be JSON at all.
    """

    schema: Any = None
    path: str = "response_format"
    name: Any = None
    description: Any = None
    is_json: bool = False

    @property
    def instruction(self) -> str:
        """What asks a model for it that has no output format: a wish, no guarantee."""
        if self.schema is None:
            return _JSON_ONLY if self.is_json else ""
        written = json.dumps(self.schema, ensure_ascii=False, separators=(",", ":"))
        return f"{_JSON_ONLY} It must conform to this JSON schema: {written}"


def asked_output(fields: Fields) -> AskedOutput:
    """Return what `response_format`, or vLLM's `guided_json`, asks for; both are taken."""
    asked = as_object(fields.take("response_format"))
    described: Json = as_object(asked.get("json_schema"))
    if (schema := described.get("schema")) is not None:
        return AskedOutput(
            schema,
            "response_format.json_schema",
            described.get("name"),
            described.get("description"),
            is_json=True,
        )
    if (guide := fields.take("guided_json")) is not None:
        return AskedOutput(_parsed(guide), "guided_json", is_json=True)
    return AskedOutput(is_json=asked.get("type") in ("json_object", "json_schema"))


def _parsed(guide: Any) -> Any:
    try:
        return json.loads(guide) if isinstance(guide, str) else guide
    except (ValueError, RecursionError):
        return {}
