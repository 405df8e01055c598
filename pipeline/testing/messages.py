"""HTTP messages of LLM calls: requests, whole answers and streamed ones, in every dialect."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.api import HeaderEdits, Headers
from pipeline.api.sse import FrameDecoder
from pipeline.dialects.encoding import decoded
from pipeline.testing.documents import (
    DEFAULT_DIALECT,
    answer_document,
    call_document,
    dialect_of,
    stream_events,
)

Pairs = tuple[tuple[str, bytes], ...]
_MAX_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response as it is on the wire.

    Args:
        pairs: its headers, pseudo-headers among them.
        body: its body.
        is_cut_off: the connection broke in the middle of the body.
    """

    pairs: Pairs
    body: bytes = b""
    is_cut_off: bool = False

    def header(self, name: str) -> str:
        """Return a header's first value, empty where there is none."""
        return Headers(self.pairs).get(name)

    def with_headers(self, **values: str | None) -> Message:
        """Return the message with headers set (`_` stands for `-`), or removed by None."""
        named = {name.replace("_", "-"): value for name, value in values.items()}
        edits = HeaderEdits(
            set={name: value for name, value in named.items() if value is not None},
            remove=frozenset(name for name, value in named.items() if value is None),
        )
        return replace(self, pairs=Headers(self.pairs).edited(edits).pairs)

    @property
    def path(self) -> str:
        """The request's path with its query."""
        return self.header(":path")

    @property
    def status(self) -> int:
        """The response's status."""
        return int(self.header(":status"))

    @property
    def is_stream(self) -> bool:
        """Whether the body is a stream of events."""
        return self.header("content-type").startswith("text/event-stream")

    @property
    def plain(self) -> bytes:
        """The body without its content-encoding."""
        return decoded(self.body, self.header("content-encoding"), _MAX_BYTES)

    @property
    def document(self) -> dict[str, Any]:
        """The body as a JSON object."""
        document: dict[str, Any] = json.loads(self.plain)
        return document

    def __repr__(self) -> str:
        return f"Message({Headers(self.pairs)!r}, {len(self.body)} bytes)"


def call_message(
    text: str | Sequence[str] = "Hello.",
    *,
    dialect: str = DEFAULT_DIALECT,
    headers: Mapping[str, str] | None = None,
    **fields: Any,
) -> Message:
    """Return the request of a call.

    Args:
        text: what the user says; several texts are several turns.
        dialect: the API's name, for instance `anthropic.messages`.
        headers: beside those that every call has.
        fields: of the body: `model`, `stream`, `system`, or any of the API's own.
    """
    document = call_document(text, dialect=dialect, **fields)
    return post(dialect_of(dialect).paths[0], document, headers)


def post(
    path: str, body: Mapping[str, Any] | bytes, headers: Mapping[str, str] | None = None
) -> Message:
    """Return a POST of a JSON document, or of bytes as they are."""
    given = {"content-type": "application/json", **(headers or {})}
    raw = body if isinstance(body, bytes) else _json(body)
    return Message(_request_pairs("POST", path, given), raw)


def get(path: str, headers: Mapping[str, str] | None = None) -> Message:
    """Return a GET."""
    return Message(_request_pairs("GET", path, headers or {}))


def answer_message(
    text: str = "Hello to you.", *, dialect: str = DEFAULT_DIALECT, status: int = 200, **fields: Any
) -> Message:
    """Return a provider's whole answer."""
    return json_response(answer_document(text, dialect=dialect, **fields), status)


def stream_message(
    *texts: str, dialect: str = DEFAULT_DIALECT, call: Mapping[str, Any] | None = None
) -> Message:
    """Return a provider's streamed answer, one event for each text.

    Args:
        texts: what the events add.
        dialect: the API's name.
        call: the call's document; what a client must ask for is left out where it did not.
    """
    events = stream_events(*texts, dialect=dialect, call=call)
    return sse_response(b"".join(event.raw for event in events))


def json_response(body: Mapping[str, Any] | bytes, status: int = 200) -> Message:
    """Return a JSON response."""
    raw = body if isinstance(body, bytes) else _json(body)
    length = str(len(raw)).encode()
    pairs = ((":status", b"%d" % status), ("content-type", b"application/json"))
    return Message((*pairs, ("content-length", length)), raw)


def sse_response(stream: bytes) -> Message:
    """Return a response that streams events."""
    return Message(((":status", b"200"), ("content-type", b"text/event-stream")), stream)


def gzipped(message: Message) -> Message:
    """Return the message with its body in gzip, and headers that say so."""
    body = gzip.compress(message.body, mtime=0)
    length = str(len(body)) if message.header("content-length") else None
    return replace(message, body=body).with_headers(content_encoding="gzip", content_length=length)


def text_of(message: Message, dialect: str = DEFAULT_DIALECT) -> str:
    """Return what the model says in a response, whole or streamed."""
    api = dialect_of(dialect)
    if not message.is_stream:
        return "".join(
            s.text or "" for s in api.answer_segments(message.document) if s.kind == "text"
        )
    decoder = FrameDecoder(_MAX_BYTES)
    frames = [*decoder.feed(message.plain), *decoder.finish()]
    return "".join(api.decode_event(f.raw, f.name, f.data).text for f in frames)


def _request_pairs(method: str, path: str, headers: Mapping[str, str]) -> Pairs:
    pseudo = {":method": method, ":path": path, ":authority": "gateway.test"}
    return tuple((name, value.encode()) for name, value in {**pseudo, **headers}.items())


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()
