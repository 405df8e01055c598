"""How OpenAI and vLLM count a chat call's tokens: as the input of a response; by tokenizing."""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import CanonicalCall, Json, Loss
from plugins.translate.upstreams.openai_request import chat_body
from plugins.translate.upstreams.quirks import Quirks

_COUNTED = ("model", "messages", "tools", "chat_template_kwargs")
_KINDS = {"image_url": "input_image", "file": "input_file"}


def responses_input(call: CanonicalCall, loss: Loss, quirks: Quirks) -> Json:
    """Return the body of `POST /v1/responses/input_tokens`.

    Raises:
        InvalidCall: a part of a message cannot be carried.
    """
    body = chat_body(call, loss, quirks)
    document: Json = {
        "model": call.model,
        "input": [item for message in body["messages"] for item in _items(message)],
    }
    tools = [_tool(tool) for tool in body.get("tools") or ()]
    if tools:
        document["tools"] = tools
    if "reasoning_effort" in body:
        document["reasoning"] = {"effort": body["reasoning_effort"]}
    shape = body.get("response_format") or {}
    if shape.get("type") == "json_schema":
        document["text"] = {"format": {"type": "json_schema", **shape["json_schema"]}}
    return document


def tokenize_body(call: CanonicalCall, loss: Loss, quirks: Quirks) -> Json:
    """Return the body of vLLM's `POST /tokenize`.

    Raises:
        InvalidCall: a part of a message cannot be carried.
    """
    prompt = call.document.get("prompt")
    if isinstance(prompt, str):
        document = {k: v for k, v in call.document.items() if k != "messages"}
        return {**document, "model": call.model}
    body = chat_body(call, loss, quirks)
    return {name: body[name] for name in _COUNTED if name in body}


def counted(document: Json) -> Json:
    """Return the canonical count for OpenAI's or vLLM's.

    Raises:
        ValueError: it is no count.
    """
    count = document.get("input_tokens", document.get("count"))
    if not isinstance(count, int):
        raise ValueError("no count")  # noqa: TRY004 - what the wire says is no type of ours
    known = ("tokens", "token_strs", "max_model_len")
    beside = {k: document[k] for k in known if document.get(k) is not None}
    return {"input_tokens": count, **beside}


def _items(message: Json) -> list[Json]:
    if message["role"] == "tool":
        called = message.get("tool_call_id")
        output = message.get("content") or ""
        return [{"type": "function_call_output", "call_id": called, "output": output}]
    items: list[Json] = []
    content = message.get("content")
    if isinstance(content, list) and message["role"] == "assistant":
        # Its parts would need ids that only OpenAI can give.
        content = "\n".join(str(part.get("text") or part.get("refusal") or "") for part in content)
    elif isinstance(content, list):
        content = [_part(part) for part in content]
    if content:
        items.append({"role": message["role"], "content": content})
    for called in message.get("tool_calls") or ():
        function = called.get("function") or {}
        items.append(
            {
                "type": "function_call",
                "call_id": called.get("id"),
                "name": function.get("name"),
                "arguments": function.get("arguments") or "{}",
            }
        )
    return items


def _part(part: Json) -> Json:
    kind: Any = part.get("type")
    inner = part.get(kind)
    if kind == "image_url" and isinstance(inner, dict):
        detail = inner.get("detail") or "auto"
        return {"type": "input_image", "image_url": inner.get("url"), "detail": detail}
    if kind in _KINDS and isinstance(inner, dict):
        return {"type": _KINDS[kind], **inner}
    return {"type": "input_text", "text": str(part.get("text") or "")}


def _tool(tool: Json) -> Json:
    function = tool.get("function")
    if not isinstance(function, dict):
        return tool
    return {"type": "function", "parameters": None, "strict": None, **function}
