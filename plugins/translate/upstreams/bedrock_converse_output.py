"""The form of an answer: Converse's structured output, a forced tool, or an instruction."""

from __future__ import annotations

import json

from pipeline.api import ModelEntry
from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.anthropic_schema import output_schema
from plugins.translate.upstreams.asked_output import asked_output
from plugins.translate.upstreams.bedrock_converse_tools import ToolChoices
from plugins.translate.upstreams.bedrock_converse_turns import Turns


def output_format(
    fields: Fields, turns: Turns, tools: ToolChoices, entry: ModelEntry | None, loss: Loss
) -> Json:
    """Return the output's format; a forced tool or an instruction where there is none."""
    asked = asked_output(fields)
    if not asked.is_json:
        return {}
    if asked.schema is not None and (entry is None or entry.json_schema):
        taken = output_schema(asked.schema, loss, f"{asked.path}.schema")
        named = {"name": asked.name, "description": asked.description}
        told = {name: value for name, value in named.items() if isinstance(value, str)}
        form = {"schema": json.dumps(taken, ensure_ascii=False, separators=(",", ":")), **told}
        return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": form}}}
    if asked.schema is not None and entry is not None and entry.tools and not tools.tools:
        tools.force_json(asked.schema)
        return {}
    loss.add(asked.path)  # there is no grammar for just any JSON, nor for older models
    turns.system.append({"text": asked.instruction})
    return {}
