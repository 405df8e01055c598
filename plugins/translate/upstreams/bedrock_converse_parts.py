"""Content parts of canonical messages as Converse's blocks: text, images, documents, media."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pipeline.api import InvalidCall
from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.anthropic_words import as_object
from plugins.translate.upstreams.content_parts import read_file, split_data_url

_IMAGES = {"image/jpg": "jpeg"} | {f"image/{one}": one for one in ("png", "jpeg", "gif", "webp")}
_VIDEOS = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/x-matroska": "mkv",
    "video/webm": "webm",
    "video/x-flv": "flv",
    "video/mpeg": "mpeg",
    "video/x-ms-wmv": "wmv",
    "video/3gpp": "three_gp",
}
_AUDIO = frozenset(
    "mp3 opus wav aac flac mp4 ogg mkv mka m4a mpeg mpga pcm webm".split()  # noqa: SIM905
)
_OFFICE = "application/vnd.openxmlformats-officedocument."
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    f"{_OFFICE}wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    f"{_OFFICE}spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/markdown": "md",
    "application/json": "txt",
    "application/xml": "txt",
}
_BY_ENDING = {
    **{one: one for one in ("pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md")},
    "htm": "html",
    "markdown": "md",
}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9\s\-()\[\]]+")
_SPACES = re.compile(r"\s+")
_MAX_NAME = 150  # of 200: what makes it unique comes after
_S3 = "s3://"


class Names:
    """Names of documents: in Converse's alphabet, each once in a conversation."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wanted: Any) -> str:
        """Return a name like the wanted one that no other document has."""
        stem = str(wanted or "").rpartition("/")[2]
        head, dot, ending = stem.rpartition(".")
        if dot and ending.lower() in _BY_ENDING:
            stem = head
        plain = _SPACES.sub(" ", _NOT_IN_NAMES.sub(" ", stem)).strip()[:_MAX_NAME].strip()
        name = plain = plain or "document"
        count = 1
        while name in self._taken:
            count += 1
            name = f"{plain} {count}"
        self._taken.add(name)
        return name


def blocks(content: Any, loss: Loss, names: Names, path: str) -> Iterator[tuple[Json, Any]]:
    """Yield a content's blocks, each with its `cache_control`; blank texts are no blocks.

    Raises:
        InvalidCall: an image, sound or file cannot be carried: an answer without it makes no sense.
    """
    if isinstance(content, str):
        if content.strip():
            yield {"text": content}, None
        return
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            yield from blocks(part, loss, names, path)
        elif isinstance(part, dict):
            yield from _block(part, loss, names, f"{path}.content")


def _block(part: Json, loss: Loss, names: Names, path: str) -> Iterator[tuple[Json, Any]]:
    fields = Fields(part, loss, path)
    kind = fields.take("type", "text")
    marker = fields.take("cache_control")
    if kind in ("text", "refusal"):
        text = fields.take("text") or fields.take("refusal") or ""
        # An annotation is about an answer: it tells the model nothing.
        fields.ignore("annotations", "citations")
        if isinstance(text, str) and text.strip():
            yield {"text": text}, marker
    elif kind == "image_url":
        yield _image(fields.take("image_url"), loss, f"{path}.image_url"), marker
    elif kind == "video_url":
        yield _video(fields.take("video_url"), loss, f"{path}.video_url"), marker
    elif kind == "input_audio":
        yield _audio(fields.take("input_audio"), loss, f"{path}.input_audio"), marker
    elif kind == "file":
        yield _file(fields.take("file"), loss, names, f"{path}.file"), marker
    else:
        raise _refused("a content part of this type", f"{path}.type")
    fields.finish()


def _image(image: Any, loss: Loss, path: str) -> Json:
    fields = Fields(image if isinstance(image, dict) else {"url": image}, loss, path)
    url = fields.take("url")
    if fields.take("detail", "auto") != "auto":
        fields.lose("detail")
    fields.finish()
    endings = {"jpg": "jpeg", **{one: one for one in ("png", "jpeg", "gif", "webp")}}
    return {"image": _media(url, _IMAGES, endings, "an image", f"{path}.url")}


def _video(video: Any, loss: Loss, path: str) -> Json:
    fields = Fields(video if isinstance(video, dict) else {"url": video}, loss, path)
    url = fields.take("url")
    fields.finish()
    endings = {"3gp": "three_gp", "mpg": "mpeg", **{one: one for one in _VIDEOS.values()}}
    return {"video": _media(url, _VIDEOS, endings, "a video", f"{path}.url")}


def _media(url: Any, types: Json, endings: Json, what: str, param: str) -> Json:
    """Return format and source of an image or a video, out of a data URL or from S3."""
    if not isinstance(url, str):
        raise InvalidCall(f"{what} has no URL", code="invalid_value", param=param)
    if url.startswith("data:"):
        media_type, data = split_data_url(url, param)
        if media_type not in types:
            raise _refused(f"{what} of this media type", param)
        return {"format": types[media_type], "source": {"bytes": data}}
    if not url.startswith(_S3):
        raise _refused(f"{what} by its URL; send it as a data URL, or put it into S3", param)
    form = endings.get(_ending(url))
    if form is None:
        raise _refused(f"{what} whose S3 URI has no known ending", param)
    return {"format": form, "source": {"s3Location": {"uri": url}}}


def _audio(audio: Any, loss: Loss, path: str) -> Json:
    fields = Fields(as_object(audio), loss, path)
    data, form = fields.take("data"), fields.take("format", "wav")
    fields.finish()
    if not isinstance(data, str) or not data:
        raise InvalidCall("a sound has no data", code="invalid_value", param=f"{path}.data")
    if form not in _AUDIO:
        raise _refused("a sound of this format", f"{path}.format")
    return {"audio": {"format": form, "source": {"bytes": data}}}


def _file(file: Any, loss: Loss, names: Names, path: str) -> Json:
    given = read_file(file, loss, path)
    if isinstance(given.data, str):
        block = _inline_file(given.data, str(given.name or ""), f"{path}.file_data")
    elif isinstance(given.url, str):
        block = {"document": _located(given.url, f"{path}.file_url")}
    elif given.id is not None:
        raise _refused("a file by its id", f"{path}.file_id")
    else:
        raise InvalidCall("a file has no data", code="invalid_value", param=path)
    if (document := block.get("document")) is not None:
        document["name"] = names.take(given.title)
        if isinstance(given.context, str) and given.context:
            document["context"] = given.context
        if given.is_cited:
            document["citations"] = {"enabled": True}
    return block


def _inline_file(data: str, filename: str, param: str) -> Json:
    media_type = ""
    if data.startswith("data:"):
        media_type, data = split_data_url(data, param)
    if media_type in _IMAGES:
        return {"image": {"format": _IMAGES[media_type], "source": {"bytes": data}}}
    if media_type in _VIDEOS:
        return {"video": {"format": _VIDEOS[media_type], "source": {"bytes": data}}}
    form = _DOCUMENTS.get(media_type) or _BY_ENDING.get(_ending(filename))
    if form is None and media_type.startswith("text/"):
        form = "txt"
    if form is None and media_type in ("", "application/octet-stream"):
        form = "pdf"  # what OpenAI's own examples send without a type
    if form is None:
        raise _refused("a file of this media type", param)
    return {"document": {"format": form, "source": {"bytes": data}}}


def _located(url: str, param: str) -> Json:
    if not url.startswith(_S3):
        raise _refused("a file by its URL; send its data, or put it into S3", param)
    form = _BY_ENDING.get(_ending(url))
    if form is None:
        raise _refused("a file whose S3 URI has no known ending", param)
    return {"format": form, "source": {"s3Location": {"uri": url}}}


def _ending(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _refused(what: str, param: str) -> InvalidCall:
    message = f"Amazon Bedrock does not take {what}"
    return InvalidCall(message, code="unsupported_by_backend", param=param)
