"""Content parts of canonical messages as Cohere's: text, images, and texts as documents."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from pipeline.api import InvalidCall
from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.anthropic_words import as_object

_TEXT_URL = re.compile(
    r"data:(?:text/[^;,]*|application/(?:json|xml))(?:;[^;,]*)*;base64,", re.IGNORECASE
)
_DETAILS = frozenset({"auto", "low", "high"})


def contents(given: Any, loss: Loss, path: str, documents: list[Json]) -> list[Json]:
    """Return a message's content as Cohere's items; files with text join the documents.

    Raises:
        InvalidCall: a sound or file cannot be carried: an answer without it makes no sense.
    """
    if isinstance(given, str):
        return [{"type": "text", "text": given}] if given else []
    found: list[Json] = []
    for part in given if isinstance(given, list) else ():
        if isinstance(part, str):
            found.append({"type": "text", "text": part})
        elif isinstance(part, dict):
            found += _part(part, loss, f"{path}.content", documents)
    return found


def text_of(items: list[Json]) -> str:
    """Return the text of items, parts joined by line feeds."""
    return "\n".join(item["text"] for item in items if item["type"] == "text")


def plain(items: list[Json]) -> Any:
    """Return items as a string where they are one text."""
    if len(items) == 1 and items[0]["type"] == "text":
        return items[0]["text"]
    return items


def _part(part: Json, loss: Loss, path: str, documents: list[Json]) -> list[Json]:
    fields = Fields(part, loss, path)
    kind = fields.take("type", "text")
    if kind in ("text", "refusal"):
        text = fields.take("text") or fields.take("refusal")
        found = [{"type": "text", "text": text}] if isinstance(text, str) and text else []
        # An annotation tells the model nothing.
        fields.ignore("annotations", "citations")
    elif kind == "image_url":
        found = [_image(fields.take("image_url"), loss, f"{path}.image_url")]
    elif kind == "file":
        documents.append(_document(as_object(fields.take("file")), loss, f"{path}.file"))
        found = []
    else:
        name = "input_audio" if kind == "input_audio" else "type"
        what = "audio" if kind == "input_audio" else "a content part of this type"
        raise _refused(what, f"{path}.{name}")
    fields.finish()
    return found


def _image(image: Any, loss: Loss, path: str) -> Json:
    fields = Fields(image if isinstance(image, dict) else {"url": image}, loss, path)
    url, detail = fields.take("url"), fields.take("detail")
    fields.ignore("format")
    fields.finish()
    if not isinstance(url, str) or not url:
        raise InvalidCall("an image has no URL", code="invalid_value", param=f"{path}.url")
    told: Json = {"url": url}
    if isinstance(detail, str) and detail in _DETAILS:
        told["detail"] = detail
    return {"type": "image_url", "image_url": told}


def _document(file: Json, loss: Loss, path: str) -> Json:
    fields = Fields(file, loss, path)
    data, name = fields.take("file_data"), fields.take("filename")
    title, context = fields.take("title", name), fields.take("context")
    fields.ignore("citations", "format")  # Cohere cites unless it is told not to
    head = _TEXT_URL.match(data) if isinstance(data, str) else None
    if head is None:
        raise _refused("files other than texts in base64", path)
    fields.finish()
    try:
        text = base64.b64decode(data[head.end() :], validate=True).decode()
    except (binascii.Error, ValueError):
        message = "a text file must be UTF-8 in base64"
        raise InvalidCall(message, code="invalid_value", param=f"{path}.file_data") from None
    named = {"title": title} if isinstance(title, str) and title else {}
    about = {"context": context} if isinstance(context, str) and context else {}
    return {"data": {**named, **about, "text": text}}


def _refused(what: str, param: str) -> InvalidCall:
    message = f"Cohere does not take {what}"
    return InvalidCall(message, code="unsupported_by_backend", param=param)
