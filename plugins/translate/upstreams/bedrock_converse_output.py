"""The form of an answer: Converse's structured output, a forced tool, or an instruction."""

from __future__ import annotations

import json
from typing import Any

from pipeline.api import ModelEntry
from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.anthropic_schema import output_schema
from plugins.translate.upstreams.anthropic_words import as_object
from plugins.translate.upstreams.bedrock_converse_tools import ToolChoices
from plugins.translate.upstreams.bedrock_converse_turns import Turns

_JSON_ONLY = "Answer with one JSON object and nothing else: no prose around it, no code fence."


def output_format(
    fields: Fields, turns: Turns, tools: ToolChoices, entry: ModelEntry | None, loss: Loss
) -> Json:
    """Return the output's format; a forced tool or an instruction where there is none."""
    names = ("response_format", "guided_json")
    document = {name: fields.take(name) for name in names}
    schema, path = _schema(document)
    kind = as_object(document["response_format"]).get("type")
    if schema is None:
        if kind in ("json_object", "json_schema"):
            # There is no grammar for just any JSON: an instruction is a wish, no guarantee.
            loss.add("response_format")
            turns.system.append({"text": _JSON_ONLY})
        return {}
    if entry is None or entry.json_schema:
        taken = output_schema(schema, loss, f"{path}.schema")
        described = as_object(as_object(document["response_format"]).get("json_schema"))
        told = {
            name: described[name]
            for name in ("name", "description")
            if isinstance(described.get(name), str)
        }
        form = {"schema": json.dumps(taken, ensure_ascii=False, separators=(",", ":")), **told}
        return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": form}}}
    if entry.tools and not tools.tools:
        tools.force_json(schema)
        return {}
    loss.add(path)
    written = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    turns.system.append({"text": f"{_JSON_ONLY} It must conform to this JSON schema: {written}"})
    return {}


def _parsed(guide: Any) -> Any:
    try:
        return json.loads(guide) if isinstance(guide, str) else guide
    except (ValueError, RecursionError):
        return {}


def _schema(document: Json) -> tuple[Any, str]:
    asked = as_object(document.get("response_format"))
    schema = as_object(asked.get("json_schema")).get("schema")
    if schema is None and (guide := document.get("guided_json")) is not None:
        return _parsed(guide), "guided_json"
    return schema, "response_format.json_schema"
