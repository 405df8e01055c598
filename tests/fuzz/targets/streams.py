"""Streamed answers: any bytes are events that can be read, rewritten, restated and folded."""

from __future__ import annotations

import json
from dataclasses import replace

from pipeline.api import Answer, Dialect, Event
from pipeline.dialects.registry import builtin
from tests.fuzz.targets.answers import read, read_data
from tests.fuzz.vocabulary import WORDS

__all__ = ["TOKENS", "WORDS", "check"]
TOKENS = (b"data: ", b"\n\n", b"event: ", b"[DONE]", *(word.encode() for word in WORDS))
_DIALECTS = [dialect for name in builtin().names if (dialect := builtin().by_name(name))]


def check(data: bytes) -> None:
    stream = _stream(data)
    for dialect in _DIALECTS:
        events = read(dialect, stream)
        assert b"".join(event.raw for event in events) == stream
        _rewritten(dialect, events)
        folded = dialect.fold(events)
        assert [event.data for event in events] == read_data(dialect, events)
        answer = Answer(dialect, folded)
        assert answer.replace(segments=answer.segments) is answer
        for what in (answer.tool_calls, answer.finish_reason, answer.usage, answer.model):
            assert what is not None
        json.loads(answer.encode())
        unfolded = dialect.unfold(folded)
        read(dialect, b"".join(event.raw for event in unfolded))


def _stream(data: bytes) -> bytes:
    """Return a stream; a list of JSON becomes one with an event each: so it can be mutated."""
    try:
        items = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if not isinstance(items, list):
        return data
    frames = []
    for item in items:
        name = item.get("type") if isinstance(item, dict) else ""
        event = f"event: {name}\n" if isinstance(name, str) and name.isprintable() and name else ""
        text = json.dumps(item) if item != "[DONE]" else item
        frames.append(f"{event}data: {text}\n\n".encode("utf-8", "replace"))
    return b"".join(frames)


def _rewritten(dialect: Dialect, events: list[Event]) -> None:
    restater = dialect.restate()
    for event in events:
        assert event.replace(segments=event.segments) is event
        for what in (event.text, event.finish_reason, repr(event)):
            assert what is not None
        assert event.usage is None or event.usage is not None
        if restater is not None:
            restater.received(event)
        wanted = [replace(s, text=s.text and s.text + "!") for s in event.segments]
        try:
            new = event.replace(segments=wanted)
        except ValueError:  # a signed text
            new = event
        else:
            assert [s.text for s in new.segments] == [s.text for s in wanted]
            [again] = read(dialect, new.raw) if new.data is not None else [new]
            assert again.data == new.data
        if restater is not None:
            restated = restater(new)
            assert (restated.data is None) == (new.data is None)
