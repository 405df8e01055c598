"""A canonical call as the body of Cohere's `POST /v2/chat`."""

from __future__ import annotations

from typing import Any

from pipeline.api import ModelEntry, find_model
from plugins.translate.canonical import CanonicalCall, Fields, Json, Loss
from plugins.translate.reasoning import budget_for
from plugins.translate.upstreams.anthropic_words import as_object, objects
from plugins.translate.upstreams.asked_output import asked_output
from plugins.translate.upstreams.cohere_messages import Messages
from plugins.translate.upstreams.schema_subset import Subset, fitted

COHERE_SCHEMA = Subset(
    frozenset(
        {"type", "title", "description", "enum", "const", "pattern", "format", "items", "anyOf"}
        | {"properties", "additionalProperties", "required"}
    )
)
"""What structured outputs know (https://docs.cohere.com/docs/structured-outputs)."""

_MAX_STOPS = 5
_MAX_K = 500
_MOST_P, _LEAST_P = 0.99, 0.01
_DEFAULT_MAX_TOKENS = 4096
_NEUTRAL: dict[str, Any] = {
    "n": 1,
    "top_logprobs": 0,
    "store": False,
    "modalities": ["text"],
    "verbosity": "medium",
    "service_tier": "auto",
    "stream": False,
}
_OWN = ("citation_options", "safety_mode", "priority")


def chat_body(call: CanonicalCall, loss: Loss, safety_mode: str = "") -> Json:
    """Return the body for a canonical call.

    Args:
        call: the canonical call.
        loss: takes what cannot be carried.
        safety_mode: for calls that name none.

    Raises:
        InvalidCall: `unsupported_by_backend`: content that can neither be carried nor left out.
    """
    fields = Fields(call.document, loss)
    fields.ignore("model", "stream_options", "prompt_cache_key", "prompt_cache_retention")
    entry = find_model(call.model)
    messages = Messages(loss)
    for message in objects(fields.take("messages")):
        messages.add(message)
    body: Json = {"model": call.model, "messages": messages.messages(), "stream": call.stream}
    given = fields.take("documents", [])
    documents = [*(given if isinstance(given, list) else [given]), *messages.documents]
    if documents:
        body["documents"] = documents
    _tools(body, fields, loss)
    _format(body, fields, loss)
    _sampling(body, fields)
    _penalties(body, fields)
    room = _limit(body, fields, entry)
    if thinking := _thinking(fields.take("reasoning"), entry, room, loss):
        body["thinking"] = thinking
    for name in _OWN:
        if (value := fields.take(name)) is not None:
            body[name] = value
    if safety_mode and not {"tools", "documents"} & body.keys():
        body.setdefault("safety_mode", safety_mode)
    for name, value in _NEUTRAL.items():
        if fields.take(name, value) != value:
            fields.lose(name)
    fields.finish()
    return body


def _limit(body: Json, fields: Fields, entry: ModelEntry | None) -> int:
    """Put the answer's limit into the body; return what it is, stated or not."""
    limit = fields.take("max_completion_tokens")
    most = entry.max_output_tokens if entry else 0
    if isinstance(limit, int):
        if most and limit > most:
            fields.lose("max_completion_tokens")
        body["max_tokens"] = min(limit, most) if most else limit
    room: int = body.get("max_tokens") or most or _DEFAULT_MAX_TOKENS
    return room


def _tools(body: Json, fields: Fields, loss: Loss) -> None:
    choice = fields.take("tool_choice")
    if fields.take("parallel_tool_calls") is False:
        fields.lose("parallel_tool_calls")
    given = objects(fields.take("tools"))
    choice, given = _chosen(choice, given, fields)
    tools = [made for one in given if (made := _tool(one, loss))]
    if not tools:
        return
    body["tools"] = tools
    strict = [as_object(one.get("function")).get("strict") is True for one in given]
    if any(strict):
        body["strict_tools"] = True  # Cohere has it for all tools or none
    if choice:
        body["tool_choice"] = choice


def _chosen(choice: Any, given: list[Json], fields: Fields) -> tuple[str, list[Json]]:
    """Return Cohere's choice, and the tools that it leaves: it cannot name any."""
    names: set[str] | None = None
    chosen = as_object(choice)
    if isinstance(limits := chosen.get("allowed_tools"), dict):
        names = {_name(one) for one in objects(limits.get("tools"))}
        choice = limits.get("mode")
    elif _name(chosen):
        names, choice = {_name(chosen)}, "required"
    if names is not None:
        given = [one for one in given if _name(one) in names]
    if choice in ("required", "none"):
        return str(choice).upper(), given
    if choice not in (None, "auto"):
        fields.lose("tool_choice")
    return "", given


def _name(tool: Any) -> str:
    name = as_object(as_object(tool).get("function")).get("name")
    return name if isinstance(name, str) else ""


def _tool(tool: Json, loss: Loss) -> Json | None:
    kind = tool.get("type", "function")
    if kind != "function":
        loss.add(f"tools.{kind}" if kind in ("web_search", "custom") else "tools.type")
        return None
    outer = Fields(tool, loss, "tools")
    outer.ignore("type")
    fields = Fields(as_object(outer.take("function")), loss, "tools.function")
    fields.ignore("strict")
    made: Json = {"name": fields.take("name", "")}
    if about := fields.take("description"):
        made["description"] = about
    schema = fields.take("parameters")
    made["parameters"] = schema if isinstance(schema, dict) and schema else {"type": "object"}
    fields.finish()
    outer.finish()
    return {"type": "function", "function": made}


def _format(body: Json, fields: Fields, loss: Loss) -> None:
    shape = _shape(fields, loss)
    if shape and {"tools", "documents"} & body.keys():
        loss.add("response_format")  # Cohere takes a format in plain chat only
    elif shape:
        body["response_format"] = shape


def _shape(fields: Fields, loss: Loss) -> Json | None:
    asked = asked_output(fields)
    if asked.schema is not None:
        taken = fitted(asked.schema, COHERE_SCHEMA, loss, f"{asked.path}.schema")
        return {"type": "json_object", "json_schema": taken}
    return {"type": "json_object"} if asked.is_json else None


def _sampling(body: Json, fields: Fields) -> None:
    for name in ("temperature", "seed"):
        if (value := fields.take(name)) is not None:
            body[name] = value
    if isinstance(p := fields.take("top_p"), int | float):
        body["p"] = min(max(p, _LEAST_P), _MOST_P)
    if isinstance(k := fields.take("top_k"), int) and k > 0:
        body["k"] = min(k, _MAX_K)
        if k > _MAX_K:
            fields.lose("top_k")
    stop = fields.take("stop")
    sequences = stop if isinstance(stop, list) else [stop] if stop else []
    if sequences:
        body["stop_sequences"] = sequences[:_MAX_STOPS]
    if len(sequences) > _MAX_STOPS:
        fields.lose("stop")
    if fields.take("logprobs") is True:
        body["logprobs"] = True


def _penalties(body: Json, fields: Fields) -> None:
    for name in ("frequency_penalty", "presence_penalty"):
        value = fields.take(name, 0)
        value = value if isinstance(value, int | float) else 0
        # It takes one of the two, and none that favours what was said.
        if 0 < value <= 1 and "frequency_penalty" not in body:
            body[name] = value
        elif value:
            fields.lose(name)


def _thinking(asked: Any, entry: ModelEntry | None, room: int, loss: Loss) -> Json | None:
    if not isinstance(asked, dict):
        return None
    fields = Fields(asked, loss, "reasoning")
    effort, budget = fields.take("effort"), fields.take("budget_tokens")
    fields.ignore("summary")  # Cohere shows what it thinks
    fields.finish()
    is_off = effort == "none" or budget == 0
    if entry is not None and entry.reasoning is None:
        if not is_off:
            loss.add("reasoning")
        return None
    if is_off:
        return {"type": "disabled"}
    if not isinstance(budget, int) and effort in ("minimal", "low", "medium", "high", "xhigh"):
        budget = budget_for(effort, room)
    if isinstance(budget, int):
        return {"type": "enabled", "token_budget": budget}
    if effort not in (None, "max"):
        loss.add("reasoning.effort")
    return {"type": "enabled"}
