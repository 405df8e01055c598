"""A canonical chat call as the request of OpenAI, or of a server that is nearly so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pipeline.api import ModelEntry, find_model
from plugins.translate.canonical import CanonicalCall, Json, Loss
from plugins.translate.upstreams.openai_messages import openai_messages
from plugins.translate.upstreams.openai_reasoning import reasoning_fields
from plugins.translate.upstreams.quirks import Quirks, without_field

_GUIDES = ("guided_json", "guided_regex", "guided_choice", "guided_grammar")
_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_SAYS_NOTHING: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "parallel_tool_calls": (True,),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "logit_bias": ({},),
}
_SEARCH_ONLY = ("allowed_domains", "blocked_domains", "max_uses")
_OF_TOOLS = ("tool_choice", "parallel_tool_calls")


def chat_body(call: CanonicalCall, loss: Loss, quirks: Quirks) -> Json:
    """Return the request's body.

    Raises:
        InvalidCall: a part of a message can neither be carried nor left out.
    """
    document = dict(call.document)
    body: Json = {"model": call.model}
    document.pop("model", None)
    messages = openai_messages(document.pop("messages", None) or (), loss, quirks)
    body["messages"] = messages
    model = find_model(call.model)
    _stream(call, document, quirks)
    asked = document.pop("reasoning", None)
    if isinstance(asked, dict):
        limit = document.get("max_completion_tokens")
        body |= reasoning_fields(asked, limit, loss, quirks, model)
    _limit(document, body, loss, quirks, model)
    _guide(document, body, loss, quirks)
    _shape(document, body, loss, quirks)
    _tools(document, body, loss, quirks, model)
    for name in ("top_k", "cache_control", "input_type", "anthropic_beta"):
        if name in document and name not in quirks.takes and document.pop(name) is not None:
            loss.add(name)
    if model is not None and not model.sampling:
        for name in _SAMPLING:
            if document.pop(name, None) is not None:
                loss.add(name)
    body |= {name: value for name, value in document.items() if value is not None}
    for old, new in quirks.renames.items():
        if old in body:
            body[new] = body.pop(old)
    return without_unsupported(body, loss, quirks)


def without_unsupported(body: Json, loss: Loss, quirks: Quirks) -> Json:
    """Return a request without the fields that a server does not take, and report them."""
    for path in quirks.unsupported:
        is_default = says_nothing(path, body.get(path))
        body, was_there = without_field(body, tuple(path.split(".")))
        if was_there and not is_default:
            loss.add(path)
    return body


def says_nothing(name: str, value: Any) -> bool:
    """Say whether a field has the value that it means when it is absent."""
    return name in _SAYS_NOTHING and value in _SAYS_NOTHING[name]


def _stream(call: CanonicalCall, document: Json, quirks: Quirks) -> None:
    options = document.pop("stream_options", None)
    document.pop("stream", None)
    if not call.stream:
        return
    document["stream"] = True
    if quirks.stream_usage:
        document["stream_options"] = {**(options or {}), "include_usage": True}


def _limit(
    document: Json, body: Json, loss: Loss, quirks: Quirks, model: ModelEntry | None
) -> None:
    limit = document.pop("max_completion_tokens", None)
    # Whoever serves open weights sets a limit of his own.
    most = model.max_output_tokens if model is not None and model.vendor != "open" else 0
    if limit is not None:
        body[quirks.max_tokens] = min(limit, most) if most else limit
        if most and limit > most:
            loss.add("max_completion_tokens")
    stop = document.pop("stop", None)
    if stop:
        body["stop"] = stop[: quirks.max_stop]
        if len(stop) > quirks.max_stop:
            loss.add("stop")


def _guide(document: Json, body: Json, loss: Loss, quirks: Quirks) -> None:
    guides = {name: document.pop(name) for name in _GUIDES if document.get(name) is not None}
    if not guides:
        return
    if quirks.guided == "vllm":
        body["structured_outputs"] = {
            name.removeprefix("guided_"): guide for name, guide in guides.items()
        }
        return
    if quirks.guided == "grammar" and "guided_grammar" in guides:
        body["grammar"] = guides.pop("guided_grammar")
    schema = guides.get("guided_json")
    if isinstance(schema, dict) and document.get("response_format") is None:
        del guides["guided_json"]
        document["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema},
        }
    for name in guides:
        loss.add(name)


def _shape(document: Json, body: Json, loss: Loss, quirks: Quirks) -> None:
    """Ask for the schema in words where the server knows JSON but no schema."""
    wanted = document.get("response_format")
    if quirks.json_schema or not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return
    loss.add("response_format.json_schema")
    document["response_format"] = {"type": "json_object"}
    schema = json.dumps((wanted.get("json_schema") or {}).get("schema") or {}, ensure_ascii=False)
    rule = {"role": "system", "content": f"Answer in JSON that follows this schema:\n{schema}"}
    body["messages"] = [rule, *body["messages"]]


def _tools(
    document: Json, body: Json, loss: Loss, quirks: Quirks, model: ModelEntry | None
) -> None:
    tools = []
    for tool in document.pop("tools", None) or ():
        kind = tool.get("type")
        if kind == "web_search":
            if _searches(quirks, model):
                _search(tool.get("web_search") or {}, body, loss)
            else:
                loss.add("tools.web_search")
        elif kind in ("function", "custom"):
            if quirks.keeps_cache_control or "cache_control" not in tool:
                tools.append(tool)
            else:
                tools.append({k: v for k, v in tool.items() if k != "cache_control"})
        else:
            loss.add(f"tools.{kind}")
    if tools:
        body["tools"] = tools
        return
    for name in _OF_TOOLS:  # OpenAI refuses both where there are no tools
        document.pop(name, None)


def _searches(quirks: Quirks, model: ModelEntry | None) -> bool:
    if quirks.web_search == "catalog":
        return model is None or model.web_search
    return quirks.web_search == "any"


def _search(search: Json, body: Json, loss: Loss) -> None:
    for name in _SEARCH_ONLY:
        if search.get(name):
            loss.add(f"tools.web_search.{name}")
    options: Json = {}
    if search.get("search_context_size"):
        options["search_context_size"] = search["search_context_size"]
    if search.get("user_location"):
        place = {k: v for k, v in search["user_location"].items() if k != "type"}
        options["user_location"] = {"type": "approximate", "approximate": place}
    body["web_search_options"] = options
