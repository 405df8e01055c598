"""Streams whose events are JSON objects of several kinds, as canonical chunks of one choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from plugins.translate.canonical import Json
from plugins.translate.formats import CUT_OFF, UNREADABLE, Fault

Reader = Callable[[Json], Sequence[Json | Fault]]
"""Takes one kind's event and returns canonical chunks."""


class EventDecoder:
    """Reads one stream; kinds that it does not know it passes over.

    Args:
        model: the model asked for, until the stream names one.
        created_s: Unix seconds for the chunks.
        answer_id: id for the chunks, until the stream names one.
    """

    def __init__(self, *, model: str, created_s: int, answer_id: str = "") -> None:
        self._id = answer_id
        self._model = model
        self._created_s = created_s
        self._has_ended = False
        self._readers: Mapping[str, Reader] = {}

    def event(self, name: str, data: str) -> Sequence[Json | Fault]:
        """Take one event and return canonical chunks."""
        if not data:
            return ()
        try:
            document = orjson.loads(data)
        except orjson.JSONDecodeError:
            self._has_ended = True
            return (UNREADABLE,)
        return self._read(name, document) if isinstance(document, dict) else ()

    def end(self) -> Sequence[Json | Fault]:
        """Return a Fault when the stream ended before its answer did."""
        return () if self._has_ended else (CUT_OFF,)

    def _read(self, name: str, document: Json) -> Sequence[Json | Fault]:
        """Read an event by its kind: what it says itself, or its name."""
        read = self._readers.get(str(document.get("type") or name))
        return read(document) if read else ()

    def _head(self) -> Json:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created_s,
            "model": self._model,
        }

    def _chunk(self, delta: Json, **beside: Any) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None, **beside}
        return {**self._head(), "choices": [choice]}
