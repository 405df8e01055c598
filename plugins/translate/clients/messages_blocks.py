"""Anthropic's messages and their blocks as canonical messages and parts."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.anthropic_words import as_object, tool_arguments

_PATH = "messages.content"


def messages(message: Json, loss: Loss) -> list[Json]:
    """Return the canonical messages for one of Anthropic's: each tool result is its own."""
    fields = Fields(message, loss, "messages")
    role, content = fields.take("role", "user"), fields.take("content", "")
    fields.finish()
    if role == "assistant":
        return [_assistant(content, loss)]
    if role != "user" or isinstance(content, str):
        return [{"role": role, "content": parts(content, loss, _PATH)}]
    found: list[Json] = []
    said: list[Json] = []
    for block in content if isinstance(content, list) else ():
        if as_object(block).get("type") == "tool_result":
            if said:
                found.append({"role": "user", "content": said})
                said = []
            found.append(_result(block, loss))
        else:
            said += _parts([block], loss, _PATH)
    if said or not found:
        found.append({"role": "user", "content": _plain(said)})
    return found


def parts(content: Any, loss: Loss, path: str) -> Any:
    """Return a content as canonical parts, or as text where it is no more."""
    return content if isinstance(content, str) else _plain(list(_parts(content, loss, path)))


def _plain(found: list[Json]) -> Any:
    if not found:
        return ""
    if len(found) == 1 and found[0].keys() == {"type", "text"}:
        return found[0]["text"]
    return found


def _parts(content: Any, loss: Loss, path: str) -> Iterator[Json]:
    for block in content if isinstance(content, list) else ():
        if not isinstance(block, dict):
            continue
        fields = Fields(block, loss, path)
        kind = fields.take("type")
        marker = fields.take("cache_control")
        part = _part(kind, fields, loss, path)
        if part is None:
            loss.add(f"{path}.{kind}" if isinstance(kind, str) else path)
            continue
        yield {**part, "cache_control": marker} if isinstance(marker, dict) else part
        fields.finish()


def _part(kind: Any, fields: Fields, loss: Loss, path: str) -> Json | None:
    if kind == "text":
        return {"type": "text", "text": fields.take("text", "")}
    if kind == "image":
        return _image(as_object(fields.take("source")))
    if kind == "document":
        return _document(fields)
    if kind == "search_result":
        loss.add(f"{path}.search_result")  # its text goes on, what makes it citable does not
        return _search_result(fields)
    return None


def _image(source: Json) -> Json | None:
    kind = source.get("type")
    if kind == "base64":
        url = f"data:{source.get('media_type')};base64,{source.get('data')}"
        return {"type": "image_url", "image_url": {"url": url}}
    if kind == "url":
        return {"type": "image_url", "image_url": {"url": source.get("url")}}
    if kind == "file":
        return {"type": "file", "file": {"file_id": source.get("file_id")}}
    return None


def _document(fields: Fields) -> Json | None:
    source = as_object(fields.take("source"))
    kind = source.get("type")
    file: Json = {}
    title = fields.take("title")
    if kind == "base64":
        file["file_data"] = f"data:{source.get('media_type')};base64,{source.get('data')}"
        file["filename"] = title or "document.pdf"
    elif kind == "text":
        file["file_data"] = _text_url(str(source.get("data") or ""))
        file["filename"] = title or "document.txt"
    elif kind == "content":
        file["file_data"] = _text_url(_texts(source.get("content")))
        file["filename"] = title or "document.txt"
    elif kind == "url":
        file["file_url"] = source.get("url")
    elif kind == "file":
        file["file_id"] = source.get("file_id")
    else:
        return None
    if title:
        file["title"] = title
    if context := fields.take("context"):
        file["context"] = context
    if as_object(fields.take("citations")).get("enabled") is True:
        file["citations"] = {"enabled": True}
    return {"type": "file", "file": file}


def _search_result(fields: Fields) -> Json:
    head = [str(fields.take(name, "")) for name in ("title", "source")]
    fields.ignore("citations")
    lines = [*filter(None, head), _texts(fields.take("content"))]
    return {"type": "text", "text": "\n".join(lines)}


def _texts(content: Any) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else []
    return "\n".join(str(as_object(block).get("text") or "") for block in blocks)


def _text_url(text: str) -> str:
    return "data:text/plain;base64," + base64.b64encode(text.encode()).decode()


def _result(block: Json, loss: Loss) -> Json:
    path = f"{_PATH}.tool_result"
    fields = Fields(block, loss, path)
    fields.ignore("type")
    message: Json = {"role": "tool", "tool_call_id": fields.take("tool_use_id", "")}
    message["content"] = parts(fields.take("content", ""), loss, f"{path}.content")
    if fields.take("is_error") is True:
        message["is_error"] = True
    marker = fields.take("cache_control")
    if isinstance(marker, dict):
        message["cache_control"] = marker
    fields.finish()
    return message


def _assistant(content: Any, loss: Loss) -> Json:
    if isinstance(content, str):
        return {"role": "assistant", "content": content}
    thoughts: list[Json] = []
    said: list[Json] = []
    calls: list[Json] = []
    for block in content if isinstance(content, list) else ():
        kind = as_object(block).get("type")
        if kind == "thinking":
            names = ("thinking", "signature")
            thoughts.append({"type": kind, **{name: block.get(name) or "" for name in names}})
        elif kind == "redacted_thinking":
            thoughts.append({"type": kind, "data": block.get("data") or ""})
        elif kind == "tool_use":
            calls.append(_call(block, loss))
        elif kind == "text":
            # Citations are about an answer that was given: they tell the next model nothing.
            said += _parts([{k: v for k, v in block.items() if k != "citations"}], loss, _PATH)
        else:
            said += _parts([block], loss, _PATH)
    message: Json = {"role": "assistant", "content": _plain(said) or None}
    if thoughts:
        message["thinking_blocks"] = thoughts
    if calls:
        message["tool_calls"] = calls
    return message


def _call(block: Json, loss: Loss) -> Json:
    fields = Fields(block, loss, f"{_PATH}.tool_use")
    fields.ignore("type", "caller")
    marker = fields.take("cache_control")
    arguments = tool_arguments(fields.take("input"))
    call: Json = {
        "id": fields.take("id", ""),
        "type": "function",
        "function": {"name": fields.take("name", ""), "arguments": arguments},
    }
    fields.finish()
    return {**call, "cache_control": marker} if isinstance(marker, dict) else call
