"""A canonical chat call as Mistral's request: OpenAI's, with rules of its own."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from plugins.translate.canonical import CanonicalCall, Json, Loss
from plugins.translate.upstreams.openai_messages import text_of
from plugins.translate.upstreams.openai_request import chat_body, says_nothing
from plugins.translate.upstreams.quirks import Quirks

QUIRKS = Quirks(
    operations=frozenset({"chat", "completion", "embedding"}),
    max_tokens="max_tokens",
    max_stop=64,
    roles={"developer": "system"},
    flat_text=True,
    file_url=True,
    tool_parts=True,
    thinking_text="thinking",
    takes=frozenset({"top_k"}),
    renames={"seed": "random_seed"},
    stream_usage=False,
    finish_reasons={"model_length": "length"},
)
"""Where Mistral's chat differs from OpenAI's by name only."""

_FIELDS = frozenset(
    {
        "model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed",
        "metadata", "response_format", "tools", "tool_choice", "presence_penalty",
        "frequency_penalty", "min_tokens", "repetition_penalty", "top_k", "logprobs",
        "top_logprobs", "prompt_logprobs", "n", "prediction", "parallel_tool_calls",
        "reasoning_effort", "prompt_mode", "guardrails", "prompt_cache_key", "service_tier",
        "safe_prompt",
    }
)  # fmt: skip
_MESSAGE_FIELDS = {
    "system": ("role", "content"),
    "user": ("role", "content"),
    "assistant": ("role", "content", "tool_calls", "prefix"),
    "tool": ("role", "content", "tool_call_id", "name"),
}
_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_ID = re.compile(r"[a-zA-Z0-9]{9}")
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ID_LENGTH = 9


def mistral_body(call: CanonicalCall, loss: Loss) -> Json:
    """Return the body of `POST /v1/chat/completions`.

    Raises:
        InvalidCall: a part of a message can neither be carried nor left out.
    """
    body = chat_body(call, loss, QUIRKS)
    for name in [name for name in body if name not in _FIELDS]:
        if not says_nothing(name, body.pop(name)):
            loss.add(name)
    body["messages"] = _messages(body["messages"], loss)
    if body.get("tools"):
        body["tools"] = [_tool(tool) for tool in body["tools"] if _is_function(tool, loss)]
    if body.get("tool_choice") == "required":
        body["tool_choice"] = "any"
    if "service_tier" in body:
        tier = _TIERS.get(body.pop("service_tier"))
        if tier is None:
            loss.add("service_tier")
        else:
            body["service_tier"] = tier
    prediction = body.get("prediction")
    if isinstance(prediction, dict):
        body["prediction"] = {"type": "content", "content": text_of(prediction.get("content"))}
    return body


def tool_id(given: Any) -> str:
    """Return an id as Mistral takes it, the same for the same: nine letters and digits.

    Its own ids stay as they are, so that what it sent comes back to it.
    """
    text = str(given)
    if _ID.fullmatch(text):
        return text
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8])
    digits = []
    for _ in range(_ID_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(digits)


def _messages(messages: list[Json], loss: Loss) -> list[Json]:
    result: list[Json] = []
    for message in messages:
        said = _message(message, loss)
        if said["role"] == "assistant" and not said.get("content") and not said.get("tool_calls"):
            continue  # refused, and it says nothing
        if said["role"] in ("user", "system") and result and result[-1]["role"] == "tool":
            # After a tool the model speaks, by Mistral's rules of order.
            result.append({"role": "assistant", "content": "OK."})
        result.append(said)
    if result and result[-1]["role"] == "assistant" and not result[-1].get("tool_calls"):
        result[-1] = {**result[-1], "prefix": True}
    return result


def _message(message: Json, loss: Loss) -> Json:
    role = message["role"] if message["role"] in _MESSAGE_FIELDS else "user"
    thinking = message.get("thinking")
    refusal = message.get("refusal")
    known = _MESSAGE_FIELDS[role]
    said = {name: message[name] for name in known if message.get(name) is not None}
    said["role"] = role
    for name, value in message.items():
        if name not in known and name not in ("thinking", "refusal", "function_call") and value:
            loss.add(f"messages.{name}")
    if refusal and not said.get("content"):
        said["content"] = refusal
    if isinstance(said.get("content"), list):
        said["content"] = [_part(part, loss) for part in said["content"]]
    if thinking:
        said["content"] = [
            {"type": "thinking", "thinking": [{"type": "text", "text": thinking}], "closed": True},
            *_as_parts(said.get("content")),
        ]
    if role == "tool":
        said["tool_call_id"] = tool_id(message.get("tool_call_id"))
        said.setdefault("content", "")
    elif role != "assistant":
        said.setdefault("content", "")
    if said.get("tool_calls"):
        said["tool_calls"] = [_tool_call(one) for one in said["tool_calls"]]
    return said


def _as_parts(content: Any) -> list[Json]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []


def _part(part: Json, loss: Loss) -> Json:
    kind = part.get("type")
    if kind == "refusal":
        return {"type": "text", "text": part.get("refusal") or ""}
    if kind == "input_audio":
        audio = part.get("input_audio")
        return {"type": kind, kind: audio.get("data") if isinstance(audio, dict) else audio}
    if kind == "file":
        file = part.get("file") or {}
        if file.get("file_id"):
            return {"type": "file", "file_id": file["file_id"]}
        document = {"type": "document_url", "document_url": file.get("file_data")}
        return document | ({"document_name": file["filename"]} if file.get("filename") else {})
    if kind == "text" and part.keys() - {"type", "text"}:
        loss.add("messages.content.text")
        return {"type": "text", "text": part.get("text") or ""}
    return part


def _tool_call(call: Json) -> Json:
    function = call.get("function") or {}
    called = {"name": function.get("name"), "arguments": function.get("arguments") or "{}"}
    return {"id": tool_id(call.get("id")), "type": "function", "function": called}


def _is_function(tool: Json, loss: Loss) -> bool:
    if isinstance(tool.get("function"), dict):
        return True
    loss.add(f"tools.{tool.get('type')}")
    return False


def _tool(tool: Json) -> Json:
    function = {k: v for k, v in tool["function"].items() if v is not None}
    function.setdefault("parameters", {"type": "object", "properties": {}})
    return {"type": "function", "function": function}
