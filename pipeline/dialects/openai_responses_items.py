"""The items of OpenAI Responses, of input and output alike, and the texts inside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pipeline.api.text import Attachment, Kind, Place, Role, Segment
from pipeline.dialects.document import value_at, with_values
from pipeline.dialects.openai_messages import url_attachment
from pipeline.dialects.reading import Reader, type_of
from pipeline.dialects.segment_edits import Found

Json = dict[str, Any]

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
}
_CALLS = {"function_call": "arguments", "custom_tool_call": "input", "mcp_call": "arguments"}
"""Items that call a tool, and the field with what it is called with."""

_OUTPUTS = {
    "function_call_output",
    "custom_tool_call_output",
    "local_shell_call_output",
    "apply_patch_call_output",
    "computer_call_output",
    "mcp_call",
}
"""Items with a tool's `output`: a string, parts, or one part."""

_OUR_TOOLS = {"function_call", "custom_tool_call"}
_OUR_OUTPUTS = {"function_call_output", "custom_tool_call_output"}
_TEXTS = {"input_text", "output_text", "text", "summary_text", "reasoning_text"}


def item_type(item: Json) -> str:
    """Return an item's type; a message need not say that it is one."""
    return type_of(item) or ("message" if "role" in item else "")


def find_in_items(read: Reader, items: list[Any], at: Place) -> Iterator[Found]:
    """Find the texts and attachments of a list of items; unknown items have none."""
    for place, item in read.objects(items, at):
        read.field(item, place, "type", str)
        kind = item_type(item)
        if kind == "message":
            role = read.field(item, place, "role", str, required=True)
            speaker = Segment(_ROLES.get(role, "user"), None)
            yield from _content(read, item, place, "content", speaker, required=True)
        if field := _CALLS.get(kind):
            ours = kind in _OUR_TOOLS
            name = read.field(item, place, "name", str, required=ours) or ""
            argument = Segment("assistant", None, "tool_argument", name=name)
            text = read.field(item, place, field, str, required=ours)
            if text is not None:
                yield Found(replace(argument, text=text, at=(*place, field)), place)
        if kind in _OUTPUTS:
            ours = kind in _OUR_OUTPUTS
            call_id = read.field(item, place, "call_id", str) or ""
            result = Segment("tool", None, "tool_result", name=call_id)
            unit = (*place, "output") if kind == "mcp_call" else place
            yield from _content(read, item, place, "output", result, required=ours, unit=unit)
        if kind == "reasoning":
            thought = Segment("assistant", None, "reasoning")
            yield from _content(read, item, place, "summary", thought)
            yield from _content(read, item, place, "content", thought)


def find_in_part(read: Reader, part: Json, place: Place, speaker: Segment) -> Iterator[Found]:
    """Find the text or attachment of a content part.

    Args:
        read: how strictly to read.
        part: the content part.
        place: where it stands.
        speaker: a segment without text, with the role, kind and name that the part's has.
    """
    kind = read.field(part, place, "type", str, required=True)
    if kind in _TEXTS:
        text = read.field(part, place, "text", str, required=True)
        if text is not None:
            yield Found(replace(speaker, text=text, at=(*place, "text")), place)
    elif kind == "refusal":
        text = read.field(part, place, "refusal", str, required=True)
        if text is not None:
            at = (*place, "refusal")
            yield Found(replace(speaker, text=text, kind="refusal", at=at), place)
    else:
        medium, attachment = _attachment(read, part, place, kind)
        yield Found(replace(speaker, kind=medium, at=place, attachment=attachment), place)


def with_texts(document: Json, texts: Mapping[Place, str]) -> Json:
    """Return a document with new texts; log probabilities of old tokens go: they spell them."""
    changes: dict[Place, Any] = dict(texts)
    for place in texts:
        holder = value_at(document, place[:-1])
        if isinstance(holder, dict) and holder.get("logprobs"):
            changes[*place[:-1], "logprobs"] = []
    changed: Json = with_values(document, changes)
    return changed


def _content(
    read: Reader,
    holder: Json,
    at: Place,
    key: str,
    speaker: Segment,
    *,
    required: bool = False,
    unit: Place | None = None,
) -> Iterator[Found]:
    # Only a computer's screenshot is one part that stands in no list.
    types = (str, list, dict) if type_of(holder) == "computer_call_output" else (str, list)
    content = read.field(holder, at, key, *types, required=required)
    place = (*at, key)
    if isinstance(content, str):
        yield Found(replace(speaker, text=content, at=place), unit or at)
    elif isinstance(content, list):
        for part_place, part in read.objects(content, place):
            yield from find_in_part(read, part, part_place, speaker)
    elif isinstance(content, dict):
        for found in find_in_part(read, content, place, speaker):
            yield replace(found, unit=at)


def _attachment(
    read: Reader, part: Json, place: Place, kind: str | None
) -> tuple[Kind, Attachment | None]:
    if kind in ("input_image", "computer_screenshot"):
        return "image", _first(read, part, place, url="image_url")
    if kind == "input_file":
        return "file", _first(read, part, place, url="file_url", data="file_data")
    if kind == "input_audio":
        audio = read.field(part, place, "input_audio", dict, required=True) or {}
        data = read.field(audio, (*place, "input_audio"), "data", str, required=True) or ""
        form = read.field(audio, (*place, "input_audio"), "format", str) or ""
        return "audio", Attachment(f"audio/{form}" if form else "", "base64", data)
    # A part that we do not know is still seen: a guard can tell that it has not read everything.
    return "file", None


def _first(read: Reader, part: Json, place: Place, *, url: str, data: str = "") -> Attachment:
    if data and (raw := read.field(part, place, data, str)):
        return url_attachment(raw) if raw.startswith("data:") else Attachment("", "base64", raw)
    if address := read.field(part, place, url, str):
        return url_attachment(address)
    return Attachment("", "id", read.field(part, place, "file_id", str) or "")
