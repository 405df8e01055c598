"""Content parts of canonical messages as Anthropic's blocks: text, images, documents."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.api import InvalidCall
from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.content_parts import read_file, split_data_url

_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF = "application/pdf"


@dataclass(frozen=True, slots=True)
class Platform:
    """What a host of Claude takes; Anthropic itself takes all of it.

    Args:
        name: what its refusals call it.
        urls: images and documents by URL.
        files: files by the id that the Files API gave them.
        server_tools: tools that Anthropic runs, web search among them.
        service_tier: the choice of one in the body.
    """

    name: str = "Anthropic"
    urls: bool = True
    files: bool = True
    server_tools: bool = True
    service_tier: bool = True


def blocks(content: Any, loss: Loss, platform: Platform, path: str) -> Iterator[Json]:
    """Yield the blocks of a message's content; texts of white space alone are no blocks.

    Raises:
        InvalidCall: an image, sound or file cannot be carried: an answer without it makes no sense.
    """
    if isinstance(content, str):
        if content.strip():
            yield {"type": "text", "text": content}
        return
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            yield from blocks(part, loss, platform, path)
        elif isinstance(part, dict):
            yield from _block(part, loss, platform, f"{path}.content")


def cache_marker(marker: Any) -> Json:
    """Return the `cache_control` of a block, or nothing where there is none."""
    if not isinstance(marker, dict):
        return {}
    ttl = {"ttl": marker["ttl"]} if marker.get("ttl") in ("5m", "1h") else {}
    return {"cache_control": {"type": "ephemeral", **ttl}}


def _block(part: Json, loss: Loss, platform: Platform, path: str) -> Iterator[Json]:
    fields = Fields(part, loss, path)
    kind = fields.take("type", "text")
    marker = cache_marker(fields.take("cache_control"))
    if kind in ("text", "refusal"):
        text = fields.take("text") or fields.take("refusal") or ""
        # An annotation is about an answer: it tells the model nothing.
        fields.ignore("annotations", "citations")
        if isinstance(text, str) and text.strip():
            yield {"type": "text", "text": text, **marker}
    elif kind == "image_url":
        yield {**_image(fields.take("image_url"), loss, platform, f"{path}.image_url"), **marker}
    elif kind == "file":
        yield {**_file(fields.take("file"), loss, platform, f"{path}.file"), **marker}
    elif kind == "input_audio":
        raise _refused(platform, "audio", f"{path}.input_audio")
    else:
        raise _refused(platform, "a content part of this type", f"{path}.type")
    fields.finish()


def _image(image: Any, loss: Loss, platform: Platform, path: str) -> Json:
    fields = Fields(image if isinstance(image, dict) else {"url": image}, loss, path)
    url = fields.take("url")
    if fields.take("detail", "auto") != "auto":
        fields.lose("detail")
    fields.finish()
    if not isinstance(url, str):
        raise InvalidCall("an image has no URL", code="invalid_value", param=f"{path}.url")
    if not url.startswith("data:"):
        return {"type": "image", "source": _by_url(url, platform, f"{path}.url")}
    media_type, data = split_data_url(url, f"{path}.url")
    return _inline_image(media_type, data, platform, f"{path}.url")


def _inline_image(media_type: str, data: str, platform: Platform, path: str) -> Json:
    media_type = "image/jpeg" if media_type == "image/jpg" else media_type
    if media_type not in _IMAGES:
        raise _refused(platform, "an image of this media type", path)
    return {
        "type": "image",
        "source": {"type": "base64", "media_type": media_type, "data": data},
    }


def _file(file: Any, loss: Loss, platform: Platform, path: str) -> Json:
    given = read_file(file, loss, path)
    if isinstance(given.data, str):
        block = _inline_file(given.data, str(given.name or ""), platform, path)
    elif isinstance(given.url, str):
        block = {"type": "document", "source": _by_url(given.url, platform, f"{path}.file_url")}
    elif isinstance(given.id, str) and platform.files:
        block = {"type": "document", "source": {"type": "file", "file_id": given.id}}
    elif isinstance(given.id, str):
        raise _refused(platform, "a file by its id", f"{path}.file_id")
    else:
        raise InvalidCall("a file has no data", code="invalid_value", param=path)
    if block["type"] == "document":
        if isinstance(given.title, str) and given.title:
            block["title"] = given.title
        if isinstance(given.context, str) and given.context:
            block["context"] = given.context
        if given.is_cited:
            block["citations"] = {"enabled": True}
    return block


def _inline_file(data: str, name: str, platform: Platform, path: str) -> Json:
    param = f"{path}.file_data"
    if data.startswith("data:"):
        media_type, data = split_data_url(data, param)
    else:
        # Bare base64: OpenAI's own examples name PDFs only.
        media_type = "text/plain" if name.lower().endswith((".txt", ".md", ".csv")) else _PDF
    if media_type == _PDF:
        source = {"type": "base64", "media_type": _PDF, "data": data}
    elif media_type.startswith("image/"):
        return _inline_image(media_type, data, platform, param)
    elif media_type.startswith("text/") or media_type in ("application/json", "application/xml"):
        source = {"type": "text", "media_type": "text/plain", "data": _decoded(data, param)}
    else:
        raise _refused(platform, "a file of this media type", param)
    return {"type": "document", "source": source}


def _by_url(url: str, platform: Platform, param: str) -> Json:
    if not platform.urls:
        raise _refused(platform, "content by its URL", param)
    return {"type": "url", "url": url}


def _decoded(data: str, param: str) -> str:
    try:
        return base64.b64decode(data).decode()
    except (binascii.Error, ValueError):
        text = "a text file must be UTF-8 in base64"
        raise InvalidCall(text, code="invalid_value", param=param) from None


def _refused(platform: Platform, what: str, param: str) -> InvalidCall:
    message = f"{platform.name} does not take {what}"
    return InvalidCall(message, code="unsupported_by_backend", param=param)
