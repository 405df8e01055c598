"""JSON as bytes: fast, and with integers of any length, which tool arguments may hold."""

from __future__ import annotations

import json
from typing import Any

import orjson


def dumps(document: Any) -> bytes:
    """Return a document as JSON."""
    try:
        return orjson.dumps(document)
    except TypeError:  # an integer over 64 bits
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
