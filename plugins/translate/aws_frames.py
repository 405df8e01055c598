"""AWS's event stream: binary frames with checksums, cut into events."""

from __future__ import annotations

import struct
from base64 import b64decode
from zlib import crc32

import orjson
from botocore.eventstream import EventStreamBuffer, EventStreamMessage, ParserError

_PRELUDE_BYTES = 12
_PRELUDE = struct.Struct("!III")
_MIN_FRAME_BYTES = 16
_PACKED = "chunk"
"""The event that InvokeModel packs a model's own events into."""


class AwsCut:
    """Cuts a stream's bytes into events of (name, JSON text).

    The name is the frame's event type or exception type; for events that InvokeModel wraps, it is
    the `type` of the model's own event.

    botocore's buffer copies all that is left for every frame, so it gets one whole frame at a time
    here: the cost stays linear however the bytes are cut.

    Args:
        max_event_bytes: longest frame.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self._max_event_bytes = max_event_bytes
        self._parser = EventStreamBuffer()
        self._rest = bytearray()
        self._frame_bytes = 0  # of the frame at the start of the rest; 0 until its length is known

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        """Take bytes and return the events that they complete.

        Raises:
            ValueError: they are no event stream, are damaged, or a frame is too long.
        """
        rest = self._rest
        rest += data
        events: list[tuple[str, str]] = []
        at = 0
        while True:
            if not self._frame_bytes and len(rest) - at >= _PRELUDE_BYTES:
                self._frame_bytes = self._length(at)
            end = at + self._frame_bytes
            if not self._frame_bytes or len(rest) < end:
                break
            events.append(_event(self._message(bytes(rest[at:end]))))
            at, self._frame_bytes = end, 0
        del rest[:at]
        return events

    def _length(self, at: int) -> int:
        """Return the length of the frame whose prelude begins there, once its checksum holds."""
        length, _, checksum = _PRELUDE.unpack_from(self._rest, at)
        if crc32(self._rest[at : at + 8]) != checksum:
            raise ValueError("the checksum of a frame's length is wrong")
        if not _MIN_FRAME_BYTES <= length <= self._max_event_bytes:
            raise ValueError(f"a frame is longer than {self._max_event_bytes} bytes or too short")
        return int(length)

    def _message(self, frame: bytes) -> EventStreamMessage:
        self._parser.add_data(frame)
        try:
            return self._parser.next()
        except (ParserError, struct.error, KeyError, IndexError) as error:
            raise ValueError(f"a frame cannot be read: {type(error).__name__}") from None


def _event(message: EventStreamMessage) -> tuple[str, str]:
    headers = message.headers
    name = headers.get(":event-type") or headers.get(":exception-type")
    if name == _PACKED:
        return _unpacked(message.payload)
    if name is None and ":error-code" in headers:
        told = {"message": str(headers.get(":error-message", ""))}
        return str(headers[":error-code"]), orjson.dumps(told).decode()
    return str(name or ""), message.payload.decode()


def _unpacked(payload: bytes) -> tuple[str, str]:
    packed = orjson.loads(payload)
    if not isinstance(packed, dict) or not isinstance(packed.get("bytes"), str):
        return _PACKED, payload.decode()
    inner = b64decode(packed["bytes"])
    event = orjson.loads(inner)
    kind = event.get("type") if isinstance(event, dict) else None
    return str(kind or _PACKED), inner.decode()
