"""Where a message of OpenAI's chat format holds text and attachments, in requests and answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.api.text import Attachment, Kind, Place, Role, Segment

Json = dict[str, Any]

_ROLES: dict[object, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
# `reasoning_content` and `reasoning` are what open-weight servers call the model's thoughts.
_PROSE: dict[str, Kind] = {
    "refusal": "refusal",
    "reasoning_content": "reasoning",
    "reasoning": "reasoning",
}
_AUDIO_TYPES = {"mp3": "audio/mpeg"}


def objects(value: Any) -> Iterator[tuple[int, Json]]:
    """Iterate over the objects in a list, with their indices; over nothing when it is no list."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield index, item


def message_segments(message: Json, at: Place, *, default_role: Role) -> list[Segment]:
    """Find the segments of a message, or of a delta of one, in document order.

    Args:
        message: the message.
        at: where it stands.
        default_role: who speaks when the message names no role that we know.
    """
    spoken = message.get("role")
    role = _ROLES.get(spoken, default_role) if isinstance(spoken, str) else default_role
    found: list[Segment] = []
    for field, value in message.items():
        if value is None:
            continue
        place = (*at, field)
        if field == "content":
            found += _content_segments(message, value, place, role)
        elif field in _PROSE and isinstance(value, str):
            found.append(Segment(role, value, _PROSE[field], place))
        elif field == "tool_calls":
            for index, call in objects(value):
                found += _call_segments(call, (*place, index), role)
        elif field == "function_call" and isinstance(value, dict):
            found += _argument_segments(value, "arguments", place, role)
        elif field == "audio" and isinstance(value, dict):
            found += _spoken_segments(value, place, role)
    return found


def _content_segments(message: Json, content: Any, at: Place, role: Role) -> list[Segment]:
    kind: Kind = "text"
    name = ""
    if role == "tool":
        kind = "tool_result"
        name = str(message.get("tool_call_id") or message.get("name") or "")
    if isinstance(content, str):
        return [Segment(role, content, kind, at, None, name)]
    return [_part_segment(part, (*at, i), role, kind, name) for i, part in objects(content)]


def _part_segment(part: Json, at: Place, role: Role, kind: Kind, name: str) -> Segment:
    if isinstance(part.get("text"), str):
        return Segment(role, part["text"], kind, (*at, "text"), None, name)
    if isinstance(part.get("refusal"), str):
        return Segment(role, part["refusal"], "refusal", (*at, "refusal"))
    match part:
        case {"image_url": {"url": str(url)}} | {"image_url": str(url)}:
            return Segment(role, None, "image", at, url_attachment(url), name)
        case {"input_audio": {"data": str(data), **rest}}:
            encoding = str(rest.get("format", ""))
            media_type = _AUDIO_TYPES.get(encoding) or (f"audio/{encoding}" if encoding else "")
            return Segment(role, None, "audio", at, Attachment(media_type, "base64", data), name)
        case {"audio_url": {"url": str(url)}}:
            return Segment(role, None, "audio", at, url_attachment(url), name)
        case {"file": {"file_id": str(id_)}}:
            return Segment(role, None, "file", at, Attachment("", "id", id_), name)
        case {"file": {"file_data": str(data)}}:
            return Segment(role, None, "file", at, _file_attachment(data), name)
    # A part that we do not know is still seen: a guard can tell that it has not read everything.
    return Segment(role, None, "file", at, None, name)


def _call_segments(call: Json, at: Place, role: Role) -> list[Segment]:
    for field, text in (("function", "arguments"), ("custom", "input")):
        if isinstance(call.get(field), dict):
            return _argument_segments(call[field], text, (*at, field), role)
    return []


def _argument_segments(function: Json, field: str, at: Place, role: Role) -> list[Segment]:
    text = function.get(field)
    if not isinstance(text, str):
        return []
    name = str(function.get("name") or "")
    return [Segment(role, text, "tool_argument", (*at, field), None, name)]


def _spoken_segments(audio: Json, at: Place, role: Role) -> list[Segment]:
    attachment = None
    if isinstance(audio.get("data"), str):
        attachment = Attachment("", "base64", audio["data"])
    elif isinstance(audio.get("id"), str):
        attachment = Attachment("", "id", audio["id"])
    found = [Segment(role, None, "audio", at, attachment)] if attachment else []
    if isinstance(audio.get("transcript"), str):
        found.append(Segment(role, audio["transcript"], "text", (*at, "transcript")))
    return found


def url_attachment(url: str) -> Attachment:
    """Return what a URL refers to; a `data:` URL is taken apart."""
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        return Attachment(head[5:].split(";", 1)[0], "base64", data)
    return Attachment("", "url", url)


def _file_attachment(data: str) -> Attachment:
    if data.startswith("data:"):
        return url_attachment(data)
    return Attachment("", "base64", data)
