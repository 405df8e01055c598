"""A visit: what the cache notes of one exchange, from its call to its end."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.api import Answer, Event
from plugins.semantic_cache.coalescing import Flight
from plugins.semantic_cache.keys import Keys
from plugins.semantic_cache.lookup import Found
from plugins.semantic_cache.records import Vector

# A streamed answer says each token with its whole frame around it.
_FRAMES_PER_BYTE = 64


@dataclass(slots=True)
class Visit:
    """One exchange at the cache.

    Args:
        keys: of its call.
        report: value of `x-dragoman-cache` on what comes of it.
        stores: whether its answer may be kept.
        vector: embedding of its question; None where only the same call may hit.
        embedder: fingerprint of what made that.
        flight: the one that it leads.
        compared: an entry whose answer is compared with the provider's.
        is_shadowed: whether that one would have been served.
        answer: as it came whole.
        events: as it came streamed; None once it is over the limit.
    """

    keys: Keys
    report: str = ""
    stores: bool = True
    vector: Vector | None = None
    embedder: str = ""
    flight: Flight | None = None
    compared: Found | None = None
    is_shadowed: bool = False
    answer: Answer | None = None
    events: list[Event] | None = field(default_factory=list)
    event_bytes: int = 0

    def take(self, event: Event, max_entry_bytes: int) -> None:
        """Take in an event of a streamed answer."""
        if self.events is None:
            return
        self.event_bytes += len(event.raw)
        if self.event_bytes > max_entry_bytes * _FRAMES_PER_BYTE:
            self.events = None
            return
        self.events.append(event)

    def whole_answer(self) -> Answer | None:
        """Return the answer, a stream folded; None where none came whole."""
        if self.answer is not None or not self.events:
            return self.answer
        closing = self.events[-1]
        # The host makes up an empty closing event for a stream that was cut off.
        if not closing.closes or not closing.raw:
            return None
        dialect = closing.dialect
        return Answer(dialect, dialect.fold(self.events))
