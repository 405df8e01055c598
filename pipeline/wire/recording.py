"""A recording: the messages of one stream, as a line of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format

from pipeline.config.schema import Config
from pipeline.errors import DragomanError
from pipeline.host.names import (
    KEYED_KEY,
    LEVEL_METADATA,
    METADATA_NAMESPACE,
    ORIGIN_ENCODING_KEY,
    ORIGIN_LENGTH_KEY,
    ORIGIN_PATH_KEY,
    metadata_attribute,
)
from pipeline.observability.redaction import mask, redact_body, redact_header
from pipeline.wire import ext_proc_pb2 as pb
from pipeline.wire.adapter import FILTER_NAMESPACE

_VERSION = 1
_READABLE_ATTRIBUTES = frozenset(
    {
        "xds.route_name",
        "xds.upstream_host_metadata",
        "response.code_details",
        # What frames a body and who set a key are no content, and replays decide by them.
        metadata_attribute(ORIGIN_ENCODING_KEY),
        metadata_attribute(ORIGIN_LENGTH_KEY),
        metadata_attribute(KEYED_KEY),
    }
)
_ORIGIN_PATH = metadata_attribute(ORIGIN_PATH_KEY)
Entry = pb.ProcessingRequest | pb.ProcessingResponse


class NotARecording(DragomanError):
    """Raised when a line is no recording of this version."""


@dataclass
class Tape:
    """What is said on one stream, until it is more than may be kept.

    Args:
        metadata: the gRPC metadata that chooses level and route.
        max_bytes: of all messages together.
        redacted: whether texts have been masked.
    """

    metadata: tuple[tuple[str, str], ...]
    max_bytes: int = 0
    redacted: bool = False
    entries: list[Entry] = field(default_factory=list)
    _bytes: int = 0

    def add(self, message: Entry) -> None:
        """Keep a message; one too many, and nothing is kept at all."""
        self._bytes += message.ByteSize()
        if self._bytes <= self.max_bytes:
            self.entries.append(message)
        else:
            self.entries.clear()

    @property
    def is_whole(self) -> bool:
        """Whether every message is on it."""
        return 0 < self._bytes <= self.max_bytes

    @property
    def level(self) -> str:
        """`router` or `upstream`; empty where Envoy's configuration does not say."""
        return dict(self.metadata).get(LEVEL_METADATA, "")

    @property
    def request_id(self) -> str:
        """The id of the request, empty where it has none."""
        for message in self.entries:
            if isinstance(message, pb.ProcessingRequest) and message.HasField("request_headers"):
                for header in message.request_headers.headers.headers:
                    if header.key == "x-request-id":
                        return header.raw_value.decode("utf-8", "replace")
        return ""


@dataclass(frozen=True, slots=True)
class Redactor:
    """Masks what a tape must not show.

    Args:
        headers: header values that stand in the config, by name.
        models: model names that stand in the config.
        with_bodies: leave bodies as they are; headers are masked all the same.
    """

    headers: Mapping[str, frozenset[bytes]]
    models: frozenset[bytes]
    with_bodies: bool = False

    def __call__(self, tape: Tape) -> Tape:
        """Return a copy that may be written down."""
        copies = [type(message).FromString(message.SerializeToString()) for message in tape.entries]
        for message in copies:
            if isinstance(message, pb.ProcessingRequest):
                self._request(message)
            else:
                self._response(message)
        if not self.with_bodies:
            for kind in (pb.ProcessingRequest, pb.ProcessingResponse):
                for side in ("request_body", "response_body"):
                    self._bodies([m for m in copies if isinstance(m, kind)], side)
        return Tape(tape.metadata, redacted=not self.with_bodies, entries=copies)

    def _request(self, message: pb.ProcessingRequest) -> None:
        message.ClearField("metadata_context")
        for side in (message.request_headers, message.response_headers):
            for header in side.headers.headers:
                header.raw_value = redact_header(header.key, header.raw_value, self.headers)
        for trailers in (message.request_trailers, message.response_trailers):
            for header in trailers.trailers.headers:
                header.raw_value = mask(header.raw_value)
        kept = message.attributes[FILTER_NAMESPACE] if message.attributes else None
        for name in list(message.attributes):
            if name != FILTER_NAMESPACE:
                del message.attributes[name]
        for name, value in (kept.fields if kept is not None else {}).items():
            if name == _ORIGIN_PATH:
                path = redact_header(":path", value.string_value.encode(), {})
                value.string_value = path.decode("utf-8", "replace")
            elif name not in _READABLE_ATTRIBUTES:
                value.string_value = mask(value.string_value.encode()).decode()

    def _response(self, message: pb.ProcessingResponse) -> None:
        for mutation in _mutations(message):
            for option in mutation.set_headers:
                header = option.header
                header.raw_value = redact_header(header.key, header.raw_value, self.headers)
        if message.HasField("immediate_response") and not self.with_bodies:
            immediate = message.immediate_response
            immediate.body = redact_body(immediate.body, self.models)
        report = message.dynamic_metadata.fields
        if METADATA_NAMESPACE in report:
            for key, value in report[METADATA_NAMESPACE].struct_value.fields.items():
                if key == ORIGIN_PATH_KEY:
                    path = redact_header(":path", value.string_value.encode(), {})
                    value.string_value = path.decode("utf-8", "replace")

    def _bodies(self, messages: list[Any], side: str) -> None:
        """Mask one side's body as a whole, then cut it where it was cut."""
        pieces = [(m, body) for m in messages for body in [_body(m, side)] if body is not None]
        masked = redact_body(b"".join(body for _, body in pieces), self.models)
        at = 0
        for message, body in pieces:
            _set_body(message, side, masked[at : at + len(body)])
            at += len(body)


def redactor(config: Config, *, with_bodies: bool) -> Redactor:
    """Return the redactor that leaves what stands in the config readable."""
    headers: dict[str, set[bytes]] = {}
    for route in config.routes:
        for name, value in route.match.headers.items():
            headers.setdefault(name, set()).add(value.encode())
    models = {route.match.model for route in config.routes if route.match.model}
    for backend in config.backends.values():
        models |= {*backend.models, *backend.models.values()}
    return Redactor(
        {name: frozenset(values) for name, values in headers.items()},
        frozenset(model.encode() for model in models),
        with_bodies,
    )


def encode(tape: Tape) -> bytes:
    """Return a tape as one line."""
    entries = [
        {
            "from": "envoy" if isinstance(message, pb.ProcessingRequest) else "host",
            "message": json_format.MessageToDict(message, preserving_proto_field_name=True),
        }
        for message in tape.entries
    ]
    line = {
        "version": _VERSION,
        "redacted": tape.redacted,
        "metadata": dict(tape.metadata),
        "entries": entries,
    }
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def decode(line: str) -> Tape:
    """Read a line.

    Raises:
        NotARecording: it is none.
    """
    try:
        value = json.loads(line)
        if value["version"] != _VERSION:
            raise NotARecording(f"this recording has version {value['version']!r}, not {_VERSION}")
        return Tape(
            tuple((str(k), str(v)) for k, v in value["metadata"].items()),
            redacted=bool(value["redacted"]),
            entries=[_entry(one) for one in value["entries"]],
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotARecording(f"this is no recording: {type(error).__name__}") from error
    except json_format.ParseError as error:
        raise NotARecording("a message of this recording cannot be read") from error


def _entry(value: Any) -> Entry:
    kind = pb.ProcessingRequest if value["from"] == "envoy" else pb.ProcessingResponse
    message: Entry = json_format.ParseDict(value["message"], kind())
    return message


def _mutations(message: pb.ProcessingResponse) -> Iterator[pb.HeaderMutation]:
    kind = message.WhichOneof("response")
    if kind == "immediate_response":
        yield message.immediate_response.headers
    elif kind in {"request_trailers", "response_trailers"}:
        yield getattr(message, kind).header_mutation
    elif kind in {"request_headers", "response_headers", "request_body", "response_body"}:
        yield getattr(message, kind).response.header_mutation


def _body(message: Any, side: str) -> bytes | None:
    if not message.HasField(side):
        return None
    part = getattr(message, side)
    if isinstance(message, pb.ProcessingRequest):
        return bytes(part.body)
    mutation = part.response.body_mutation
    kind = mutation.WhichOneof("mutation")
    if kind == "body":
        return bytes(mutation.body)
    return bytes(mutation.streamed_response.body) if kind == "streamed_response" else None


def _set_body(message: Any, side: str, body: bytes) -> None:
    part = getattr(message, side)
    if isinstance(message, pb.ProcessingRequest):
        part.body = body
        return
    mutation = part.response.body_mutation
    if mutation.WhichOneof("mutation") == "body":
        mutation.body = body
    else:
        mutation.streamed_response.body = body
