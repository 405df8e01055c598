"""AWS's event stream, written: botocore only reads it."""

from __future__ import annotations

import json
import struct
from typing import Any
from zlib import crc32


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """Return one frame."""
    packed = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value
        for name, value in ((name, text.encode()) for name, text in headers.items())
    )
    total = 12 + len(packed) + len(payload) + 4
    prelude = struct.pack("!II", total, len(packed))
    head = prelude + struct.pack("!I", crc32(prelude))
    whole = head + packed + payload
    return whole + struct.pack("!I", crc32(whole))


def event(name: str, document: Any) -> bytes:
    """Return the frame of an event."""
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(document, ensure_ascii=False).encode())


def exception(name: str, message: str) -> bytes:
    """Return the frame of an exception."""
    headers = {
        ":exception-type": name,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return frame(headers, json.dumps({"message": message}).encode())


def error(code: str, message: str) -> bytes:
    """Return the frame of an error that no model of the service names."""
    return frame({":error-code": code, ":error-message": message, ":message-type": "error"}, b"")
