"""Canonical messages as OpenAI's: what only the canonical form has goes, or finds another place."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from pipeline.api import InvalidCall
from plugins.translate.canonical import Json, Loss
from plugins.translate.upstreams.openai_native import own_call, short_id
from plugins.translate.upstreams.quirks import Quirks

_CANONICAL_ONLY = frozenset(
    {"thinking_blocks", "reasoning_content", "cache_control", "is_error", "annotations"}
)
_FILE_FIELDS = ("filename", "file_data", "file_id", "file_url")
_TEXT_FILES = ("data:text/", "data:application/json")


def openai_messages(messages: Iterable[Any], loss: Loss, quirks: Quirks) -> list[Json]:
    """Return the messages as a server with such quirks takes them.

    Raises:
        InvalidCall: a part can neither be carried nor left out.
    """
    result: list[Json] = []
    shown: list[Json] = []  # what tools showed: pictures cannot stand in their messages
    for message in messages:
        if not isinstance(message, dict):
            continue
        role = message.get("role")
        if role != "tool" and shown:
            result.append({"role": "user", "content": shown})
            shown = []
        said = _plain(message, loss, quirks)
        if role == "tool":
            shown += _tool_result(message, said, loss, quirks)
        result.append(said)
    if shown:
        result.append({"role": "user", "content": shown})
    return result


def text_of(content: Any) -> str:
    """Return the texts of a content field, one to a line."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "\n".join(
        str(part.get("text") or "")
        for part in parts
        if isinstance(part, dict) and part.get("type") == "text"
    )


def thinking_text(blocks: Any) -> str:
    """Return the thinking that blocks have in plain text."""
    texts = [
        str(block.get("thinking") or "")
        for block in blocks or ()
        if isinstance(block, dict) and block.get("type") == "thinking"
    ]
    return "\n".join(text for text in texts if text)


def _plain(message: Json, loss: Loss, quirks: Quirks) -> Json:
    said = {k: v for k, v in message.items() if k not in _CANONICAL_ONLY}
    role = str(message.get("role") or "user")
    said["role"] = quirks.roles.get(role, role)
    _think(message, said, loss, quirks)
    content = message.get("content")
    if role != "tool" and isinstance(content, list):
        parts = [_part(part, loss, quirks) for part in content if isinstance(part, dict)]
        said["content"] = _joined(parts, quirks, is_assistant=role == "assistant")
    calls = said.get("tool_calls")
    if isinstance(calls, list):
        said["tool_calls"] = [own_call(call) for call in calls]
    if "tool_call_id" in said:
        said["tool_call_id"] = short_id(said["tool_call_id"])
    if quirks.keeps_cache_control and "cache_control" in message:
        said["cache_control"] = message["cache_control"]
    return said


def _think(message: Json, said: Json, loss: Loss, quirks: Quirks) -> None:
    blocks = message.get("thinking_blocks")
    if not blocks and not message.get("reasoning_content"):
        return
    if quirks.reasoning == "object":
        said["reasoning_details"] = [_detail(block) for block in blocks or ()]
        return
    text = thinking_text(blocks) or str(message.get("reasoning_content") or "")
    if quirks.thinking_text and text:
        said[quirks.thinking_text] = text
    elif blocks:
        loss.add("messages.thinking_blocks")


def _detail(block: Json) -> Json:
    """Return a block as OpenRouter's `reasoning_details`."""
    if block.get("type") == "redacted_thinking":
        return {"type": "reasoning.encrypted", "data": block.get("data")}
    if block.get("encrypted_content"):
        return {
            "type": "reasoning.encrypted",
            "data": block["encrypted_content"],
            "id": block.get("id"),
        }
    detail = {"type": "reasoning.text", "text": block.get("thinking") or ""}
    if block.get("signature"):
        detail["signature"] = block["signature"]
    return detail


def _joined(parts: list[Json], quirks: Quirks, *, is_assistant: bool) -> Any:
    if not parts:
        return ""
    only_text = all(part.keys() == {"type", "text"} and part["type"] == "text" for part in parts)
    if only_text and (quirks.flat_text or (is_assistant and len(parts) == 1)):
        return "\n".join(str(part["text"]) for part in parts)
    return parts


def _part(part: Json, loss: Loss, quirks: Quirks) -> Json:
    marker = part.get("cache_control")
    kind = part.get("type")
    rest = {k: v for k, v in part.items() if k != "cache_control"} if marker else part
    if kind == "file":
        rest = _file(rest, loss, quirks)
        kind = rest["type"]
    if kind not in quirks.parts:
        raise InvalidCall(
            "the backend takes no such part of a message",
            code="unsupported_by_backend",
            param=f"messages.content.{kind}",
        )
    if marker and quirks.keeps_cache_control:
        return {**rest, "cache_control": marker}
    return rest


def _file(part: Json, loss: Loss, quirks: Quirks) -> Json:
    file = part.get("file") or {}
    data = file.get("file_data")
    title = file.get("title") or file.get("filename")
    for name in ("context", "citations"):
        if file.get(name):
            loss.add(f"messages.content.file.{name}")
    if isinstance(data, str) and data.startswith(_TEXT_FILES):
        # OpenAI takes PDFs only: a text file is text.
        text = _decoded(data)
        return {"type": "text", "text": f"{title}\n\n{text}" if title else text}
    kept = {name: file[name] for name in _FILE_FIELDS if file.get(name)}
    if "file_url" in kept:
        if not quirks.file_url:
            raise InvalidCall(
                "the backend takes files as data only, not by URL",
                code="unsupported_by_backend",
                param="messages.content.file.file_url",
            )
        kept["file_data"] = kept.pop("file_url")
    if "file_data" in kept:
        kept.setdefault("filename", str(title or "file.pdf"))
    return {"type": "file", "file": kept}


def _decoded(data_url: str) -> str:
    head, _, data = data_url.partition(",")
    if not head.endswith(";base64"):
        return data
    try:
        return base64.b64decode(data).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        raise InvalidCall(
            "a file's data is no base64",
            code="invalid_value",
            param="messages.content.file.file_data",
        ) from None


def _tool_result(message: Json, said: Json, loss: Loss, quirks: Quirks) -> list[Json]:
    """Make a tool's result plain text, and return what has to follow in a user's message."""
    content = message.get("content")
    others = []
    if isinstance(content, list):
        others = [
            _part(part, loss, quirks)
            for part in content
            if isinstance(part, dict) and part.get("type") != "text"
        ]
        content = text_of(content) or ("(see below)" if others else "")
    text = "" if content is None else str(content)
    # The format has no flag for a failed call: the model has to be told in words.
    is_told = text[:5].lower() == "error"
    said["content"] = f"Error: {text}" if message.get("is_error") and not is_told else text
    if not others:
        return []
    if quirks.tool_parts:
        said["content"] = [{"type": "text", "text": said["content"]}, *others]
        return []
    label = f"Result of tool call {message.get('tool_call_id')}:"
    return [{"type": "text", "text": label}, *others]
