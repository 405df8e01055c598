"""Canonical chunks as OpenAI's stream: the chunks themselves, then `[DONE]`."""

from __future__ import annotations

import orjson

from plugins.translate.canonical import Json
from plugins.translate.clients.chat_legacy import as_function_call

_DONE = b"data: [DONE]\n\n"


class ChatEncoder:
    """Writes one stream.

    Args:
        shows_usage: whether the client asked for usage; it then has a chunk of its own.
        is_legacy: whether the client knows functions, not tools.
    """

    def __init__(self, *, shows_usage: bool, is_legacy: bool = False) -> None:
        self._shows_usage = shows_usage
        self._is_legacy = is_legacy
        self._usage: Json | None = None

    def chunk(self, chunk: Json) -> bytes:
        """Return the frame that a chunk becomes; usage waits for the end, and is null till then."""
        if "usage" in chunk:
            chunk = dict(chunk)
            usage = chunk.pop("usage")
            if usage is not None and self._shows_usage:
                self._usage = {**chunk, "choices": [], "usage": usage}
            if not chunk.get("choices"):
                return b""
        if self._shows_usage:
            chunk = {**chunk, "usage": None}
        if self._is_legacy:
            chunk = as_function_call(chunk, "delta")
        return b"data: %b\n\n" % orjson.dumps(chunk)

    def end(self) -> bytes:
        """Return the usage, if asked for, and the end mark."""
        usage = b"data: %b\n\n" % orjson.dumps(self._usage) if self._usage else b""
        return usage + _DONE

    def fault(self, document: Json, status: int) -> bytes:  # noqa: ARG002 - no field for it
        """Return the error, as the SDKs raise on it, and the end mark."""
        return b"data: %b\n\n" % orjson.dumps(document) + _DONE
