"""Segments: the pieces of text, and the attachments without text, inside a call or an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "developer", "user", "assistant", "tool"]
Kind = Literal[
    "text", "reasoning", "refusal", "tool_argument", "tool_result", "image", "audio", "file"
]
Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Attachment:
    """What an image, audio or file segment refers to.

    Args:
        media_type: MIME type where the API states one, else an empty string.
        source: `url`, `base64` or `id`, as the client sent it.
        data: the URL, the base64 text or the id.
    """

    media_type: str
    source: Literal["url", "base64", "id"]
    data: str

    def __repr__(self) -> str:
        return f"Attachment({self.media_type!r}, {self.source!r}, {len(self.data)} characters)"


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of text with its role and kind, or one attachment, which has no text.

    Args:
        role: who speaks.
        text: the text, decoded; None for an attachment.
        kind: what the text is; `tool_argument` is the JSON text of a tool call's arguments.
        at: where it stands in the JSON document, or None for a segment that a plugin makes.
        attachment: for `image`, `audio` and `file`.
        name: the tool's name for `tool_argument`, the tool call's id for `tool_result`.
    """

    role: Role
    text: str | None
    kind: Kind = "text"
    at: Place | None = None
    attachment: Attachment | None = None
    name: str = ""

    def __repr__(self) -> str:
        # Never the text: segments end up in tracebacks and logs.
        size = "no text" if self.text is None else f"{len(self.text)} characters"
        return f"Segment({self.role!r}, {self.kind!r}, {size}, at={self.at})"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that the call offers to the model.

    Args:
        name: the function's name, or the type of a provider's own tool (`web_search`).
        description: what it does, as the client wrote it.
        at: where the tool stands in the JSON document.
    """

    name: str
    description: str = field(repr=False)
    at: Place


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that the model made.

    Args:
        id: the call's id.
        name: the function's name.
        arguments: JSON text, as it stands so far when streamed.
    """

    id: str
    name: str
    arguments: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a provider says it counted; None where it does not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
