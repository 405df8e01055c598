"""Content parts of canonical messages as Gemini's parts: text, inline data, files by URI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from pipeline.api import InvalidCall
from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.anthropic_words import as_object
from plugins.translate.upstreams.content_parts import split_data_url

_PDF, _JPEG, _MP4 = "application/pdf", "image/jpeg", "video/mp4"
_AUDIO = {"mpeg": "mp3", "pcm16": "pcm", "x-wav": "wav"}
_VIDEO_SITES = frozenset({"youtube.com", "www.youtube.com", "m.youtube.com", "youtu.be"})
# What Gemini reads; the standard library's table depends on the machine.
_ENDINGS = {
    **{f".{kind}": f"image/{kind}" for kind in ("png", "webp", "heic", "heif", "gif", "jpeg")},
    **{f".{kind}": f"video/{kind}" for kind in ("mp4", "mpeg", "webm", "avi", "mpg", "wmv")},
    **{f".{kind}": f"audio/{kind}" for kind in ("wav", "mp3", "aiff", "aac", "ogg", "flac", "m4a")},
    **{f".{kind}": f"text/{kind}" for kind in ("html", "css", "csv", "xml", "rtf")},
    ".jpg": _JPEG,
    ".mov": "video/mov",
    ".3gp": "video/3gpp",
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".json": "application/json",
    ".pdf": _PDF,
}


def parts(content: Any, loss: Loss, path: str) -> Iterator[Json]:
    """Yield the parts of a message's content; empty texts, which Gemini refuses, are none.

    Raises:
        InvalidCall: an image, sound or file cannot be carried: an answer without it makes no sense.
    """
    if isinstance(content, str):
        if content:
            yield {"text": content}
        return
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            yield from parts(part, loss, path)
        elif isinstance(part, dict):
            yield from _part(part, loss, f"{path}.content")


def _part(part: Json, loss: Loss, path: str) -> Iterator[Json]:
    fields = Fields(part, loss, path)
    kind = fields.take("type", "text")
    # Gemini caches what calls have in common unasked; an annotation tells the model nothing.
    fields.ignore("cache_control", "annotations", "citations")
    if kind in ("text", "refusal"):
        text = fields.take("text") or fields.take("refusal") or ""
        if isinstance(text, str) and text:
            yield {"text": text}
    elif kind == "image_url":
        yield _image(fields.take("image_url"), loss, f"{path}.image_url")
    elif kind == "video_url":
        url = as_object(fields.take("video_url")).get("url")
        yield _by_url(url, _MP4, f"{path}.video_url.url")
    elif kind == "file":
        yield _file(fields.take("file"), loss, f"{path}.file")
    elif kind == "input_audio":
        yield _sound(as_object(fields.take("input_audio")), f"{path}.input_audio")
    else:
        message = "Gemini does not take a content part of this type"
        raise InvalidCall(message, code="unsupported_by_backend", param=f"{path}.type")
    fields.finish()


def _image(image: Any, loss: Loss, path: str) -> Json:
    fields = Fields(image if isinstance(image, dict) else {"url": image}, loss, path)
    url = fields.take("url")
    if fields.take("detail", "auto") != "auto":
        fields.lose("detail")
    fields.ignore("format")
    fields.finish()
    return _by_url(url, _JPEG, f"{path}.url")


def _sound(sound: Json, path: str) -> Json:
    data = sound.get("data")
    if not isinstance(data, str):
        raise InvalidCall("a sound has no data", code="invalid_value", param=f"{path}.data")
    if data.startswith("data:"):
        return _inline(data, f"{path}.data")
    spelled = str(sound.get("format") or "wav").lower()
    return _blob(f"audio/{_AUDIO.get(spelled, spelled)}", data)


def _file(file: Any, loss: Loss, path: str) -> Json:
    fields = Fields(as_object(file), loss, path)
    name = str(fields.take("filename") or "")
    data, url, file_id = (fields.take(n) for n in ("file_data", "file_url", "file_id"))
    spelled = fields.take("format")
    fields.finish()
    if isinstance(data, str) and data.startswith("data:"):
        return _inline(data, f"{path}.file_data")
    media_type = str(spelled) if spelled else _guessed(name, _PDF)
    if isinstance(data, str):
        return _blob(media_type, data)
    if isinstance(url, str):
        return _by_url(url, media_type, f"{path}.file_url")
    if isinstance(file_id, str) and "://" in file_id:
        # The URI that Google's Files API gave the file, or one of Cloud Storage.
        return {"fileData": {"fileUri": file_id, "mimeType": _guessed(file_id, media_type)}}
    if isinstance(file_id, str):
        message = "Gemini takes a file by its URI, not by another provider's id"
        raise InvalidCall(message, code="unsupported_by_backend", param=f"{path}.file_id")
    raise InvalidCall("a file has no data", code="invalid_value", param=path)


def _by_url(url: Any, fallback: str, param: str) -> Json:
    if not isinstance(url, str) or not url:
        raise InvalidCall("a content part has no URL", code="invalid_value", param=param)
    if url.startswith("data:"):
        return _inline(url, param)
    site = (urlsplit(url).hostname or "").lower()
    media_type = _MP4 if site in _VIDEO_SITES else _guessed(urlsplit(url).path, fallback)
    return {"fileData": {"fileUri": url, "mimeType": media_type}}


def _inline(url: str, param: str) -> Json:
    return _blob(*split_data_url(url, param))


def _blob(media_type: str, data: str) -> Json:
    if media_type == "image/jpg":
        media_type = _JPEG
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _guessed(name: str, fallback: str) -> str:
    ending = name[name.rfind(".") :].lower() if "." in name else ""
    return _ENDINGS.get(ending, fallback)
