"""What content parts hold, whatever the provider: files, and data in URLs."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

from pipeline.api import InvalidCall
from plugins.translate.canonical import Fields, Loss
from plugins.translate.upstreams.anthropic_words import as_object

_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.ASCII)


@dataclass(frozen=True, slots=True)
class File:
    """A canonical file, its fields as they were given.

    Args:
        name: its name.
        title: what it is to be called; its name where it has no title.
        data: a data URL, or base64 alone.
        url: where it is.
        id: the id that a provider gave it.
        context: what it is about.
        is_cited: whether the answer shall cite it.
    """

    name: Any
    title: Any
    data: Any = field(repr=False)
    url: Any = field(repr=False)
    id: Any
    context: Any = field(repr=False)
    is_cited: bool


def read_file(file: Any, loss: Loss, path: str) -> File:
    """Return what a part says of a file; what nobody knows of it goes to `loss`."""
    fields = Fields(as_object(file), loss, path)
    name = fields.take("filename")
    citations = fields.take("citations")
    found = File(
        name=name,
        title=fields.take("title", name),
        data=fields.take("file_data"),
        url=fields.take("file_url"),
        id=fields.take("file_id"),
        context=fields.take("context"),
        is_cited=citations is True or as_object(citations).get("enabled") is True,
    )
    fields.finish()
    return found


def split_data_url(url: str, param: str) -> tuple[str, str]:
    """Return the media type and the base64 text of a data URL.

    Args:
        url: the URL.
        param: dotted name of the field that has it.

    Raises:
        InvalidCall: `invalid_value`: it is none, or has no data.
    """
    head = _DATA_URL.match(url)
    if head is None:
        raise InvalidCall("a data URL cannot be read", code="invalid_value", param=param)
    data = url[head.end() :]
    if not head[2].lower().endswith(";base64"):
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    if not data:
        raise InvalidCall("a data URL is empty", code="invalid_value", param=param)
    return head[1].lower() or "text/plain", data
