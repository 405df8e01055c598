"""The content blocks of Anthropic Messages, and the texts inside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from pipeline.api.text import Attachment, Kind, Place, Segment
from pipeline.dialects import strict_json
from pipeline.dialects.document import with_values
from pipeline.dialects.reading import Reader
from pipeline.dialects.segment_edits import Found
from pipeline.errors import InvalidCall

Json = dict[str, Any]

_SOURCES: dict[str | None, tuple[str, Literal["url", "base64", "id"]]] = {
    "base64": ("data", "base64"),
    "url": ("url", "url"),
    "file": ("file_id", "id"),
}


def find_in_content(
    read: Reader,
    holder: Json,
    at: Place,
    key: str,
    speaker: Segment,
    *,
    unit: Place,
    required: bool = False,
) -> Iterator[Found]:
    """Find the texts and attachments of content: a string or blocks.

    Args:
        read: how strictly to read.
        holder: the object whose field the content is.
        at: where that object stands.
        key: the field's name.
        speaker: a segment without text, with the role, kind and name that the content's has.
        unit: what has to go when the content is a string and its text is removed.
        required: whether the field must be there.
    """
    content = read.field(holder, at, key, str, list, required=required)
    place = (*at, key)
    if isinstance(content, str):
        yield Found(replace(speaker, text=content, at=place), unit)
    elif content is not None:
        for block_place, block in read.objects(content, place):
            yield from find_in_block(read, block, block_place, speaker)


def find_in_block(  # noqa: C901 - an arm per block
    read: Reader, block: Json, at: Place, speaker: Segment
) -> Iterator[Found]:
    """Find the texts and attachments of one block.

    One of a type that is not known is a `file` segment without attachment, so that a plugin can
    tell that it has not read everything.
    """
    match read.field(block, at, "type", str, required=True):
        case "text":
            yield from _text(read, block, at, "text", speaker, unit=at)
        case "thinking":
            thought = replace(speaker, kind="reasoning")
            for found in _text(read, block, at, "thinking", thought, unit=at):
                yield replace(found, is_sealed=True)
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            yield from _tool_use(read, block, at)
        case "tool_result" | "mcp_tool_result":
            call_id = read.field(block, at, "tool_use_id", str, required=True) or ""
            result = Segment("tool", None, "tool_result", name=call_id)
            yield from find_in_content(read, block, at, "content", result, unit=at)
        case "image":
            yield from _source(read, block, at, speaker, "image")
        case "document":
            yield from _text(read, block, at, "title", speaker, unit=(*at, "title"), optional=True)
            place = (*at, "context")
            yield from _text(read, block, at, "context", speaker, unit=place, optional=True)
            yield from _source(read, block, at, speaker, "file")
        case "search_result":
            yield from _text(read, block, at, "title", speaker, unit=(*at, "title"))
            yield from find_in_content(read, block, at, "content", speaker, unit=at)
        case "container_upload":
            attachment = Attachment("", "id", read.field(block, at, "file_id", str) or "")
            yield Found(replace(speaker, kind="file", at=at, attachment=attachment), at)
        case "redacted_thinking":
            pass  # encrypted: there is nothing to read
        case _:
            yield Found(replace(speaker, kind="file", at=at), at)


def with_texts(document: Json, texts: Mapping[Place, str]) -> Json:
    """Return a document with new texts; those of tool arguments are parsed.

    Raises:
        ValueError: a tool's argument is no JSON object.
    """
    changes = {at: _arguments(text) if at[-1] == "input" else text for at, text in texts.items()}
    changed: Json = with_values(document, changes)
    return changed


def _tool_use(read: Reader, block: Json, at: Place) -> Iterator[Found]:
    name = read.field(block, at, "name", str, required=True) or ""
    arguments = read.field(block, at, "input", dict, required=True)
    if arguments is not None:
        text = strict_json.dumps(arguments).decode()
        yield Found(Segment("assistant", text, "tool_argument", (*at, "input"), name=name), at)


def _source(
    read: Reader, block: Json, block_at: Place, speaker: Segment, medium: Kind
) -> Iterator[Found]:
    source = read.field(block, block_at, "source", dict, required=True) or {}
    at = (*block_at, "source")
    kind = read.field(source, at, "type", str, required=True)
    if kind == "text":
        yield from _text(read, source, at, "data", speaker, unit=block_at)
    elif kind == "content":
        yield from find_in_content(read, source, at, "content", speaker, unit=block_at)
    else:
        media_type = read.field(source, at, "media_type", str) or ""
        field, how = _SOURCES.get(kind, ("file_id", "id"))
        data = read.field(source, at, field, str, required=kind in _SOURCES) or ""
        attachment = Attachment(media_type, how, data)
        yield Found(replace(speaker, kind=medium, at=block_at, attachment=attachment), block_at)


def _text(
    read: Reader,
    holder: Json,
    at: Place,
    key: str,
    speaker: Segment,
    *,
    unit: Place,
    optional: bool = False,
) -> Iterator[Found]:
    text = read.field(holder, at, key, str, required=not optional)
    if text is not None:
        yield Found(replace(speaker, text=text, at=(*at, key)), unit)


def _arguments(text: str) -> Json:
    if not text:
        return {}
    try:
        return strict_json.loads_object(text.encode())
    except InvalidCall as error:
        raise ValueError(f"a tool's arguments must be a JSON object: {error.code}") from None
