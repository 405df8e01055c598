"""The content parts of Responses as canonical parts."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from typing import Any

from plugins.translate.canonical import Fields, Json, Loss

_TEXTS = frozenset({"input_text", "output_text", "text"})
_WORD = re.compile(r"[a-z_0-9]{1,40}\Z")


def content(given: Any, loss: Loss, path: str) -> Any:
    """Return a content as canonical parts, or as text where it is no more."""
    if isinstance(given, str):
        return given
    found = list(_parts(given, loss, path))
    if len(found) == 1 and found[0].keys() == {"type", "text"}:
        return found[0]["text"]
    return found or ""


def cache_marker(fields: Fields) -> Json:
    """Take an object's cache marker, in OpenAI's words or the canonical ones."""
    marker = fields.take("cache_control")
    if isinstance(point := fields.take("prompt_cache_breakpoint"), dict) and marker is None:
        # The shortest time that OpenAI names is half an hour.
        marker = {"type": "ephemeral", **({"ttl": "1h"} if point.get("ttl") else {})}
    return {"cache_control": marker} if isinstance(marker, dict) else {}


def lose_kind(kind: Any, loss: Loss, path: str) -> None:
    """Report an item or part by its type; what is no word of an API may be content."""
    loss.add(f"{path}.{kind}" if isinstance(kind, str) and _WORD.match(kind) else f"{path}.type")


def _parts(given: Any, loss: Loss, path: str) -> Iterator[Json]:
    for part in given if isinstance(given, list) else ():
        if isinstance(part, str):
            yield {"type": "text", "text": part}
        elif isinstance(part, dict):
            fields = Fields(part, loss, path)
            kind = fields.take("type")
            marker = cache_marker(fields)
            canonical = _part(kind, fields)
            if canonical is None:
                lose_kind(kind, loss, path)
                continue
            yield {**canonical, **marker}
            fields.finish()


def _part(kind: Any, fields: Fields) -> Json | None:
    if kind in _TEXTS:
        # What was said of an answer's text tells the next model nothing.
        fields.ignore("annotations", "logprobs", "parsed")
        return {"type": "text", "text": fields.take("text", "")}
    if kind == "input_image":
        return _image(fields)
    if kind == "input_file":
        return _file(fields)
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": fields.take("input_audio", {})}
    return None


def _image(fields: Fields) -> Json | None:
    detail, url, file_id = (fields.take(name) for name in ("detail", "image_url", "file_id"))
    if url is None:
        return None if file_id is None else {"type": "file", "file": {"file_id": file_id}}
    image = {"url": url} if detail in (None, "auto") else {"url": url, "detail": detail}
    return {"type": "image_url", "image_url": image}


def _file(fields: Fields) -> Json | None:
    if fields.take("detail", "auto") != "auto":
        fields.lose("detail")
    file = {
        name: value
        for name in ("filename", "file_data", "file_url", "file_id")
        if (value := fields.take(name)) is not None
    }
    if isinstance(data := file.get("file_data"), str) and not data.startswith("data:"):
        kind, _ = mimetypes.guess_type(str(file.get("filename") or ""))
        file["file_data"] = f"data:{kind or 'application/pdf'};base64,{data}"
    return {"type": "file", "file": file} if file.keys() - {"filename"} else None
