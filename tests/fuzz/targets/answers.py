"""Answers: read whole and as streams, rewritten, folded and unfolded, whatever a provider says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.api import Answer, Dialect, Event, Segment
from pipeline.api.sse import FrameDecoder
from pipeline.dialects import strict_json
from pipeline.dialects.registry import builtin
from pipeline.errors import InvalidCall
from tests.fuzz.vocabulary import WORDS

__all__ = ["TOKENS", "WORDS", "check"]
TOKENS = tuple(word.encode() for word in WORDS)
_DIALECTS = [dialect for name in builtin().names if (dialect := builtin().by_name(name))]


def check(data: bytes) -> None:
    try:
        document = strict_json.loads_object(data)
    except InvalidCall:
        return
    for dialect in _DIALECTS:
        whole(dialect, Answer(dialect, document, data))
        assert strict_json.dumps(document) == strict_json.dumps(strict_json.loads(data))


def whole(dialect: Dialect, answer: Answer) -> None:
    """Check an answer of a dialect."""
    assert answer.replace(segments=answer.segments) is answer
    for what in (answer.text, answer.tool_calls, answer.finish_reason, answer.usage, answer.model):
        assert what is not None
    for new in ("!", ""):
        wanted = [
            replace(s, text=s.text and s.text + new) if new else replace(s, text=s.text and new)
            for s in answer.segments
        ]
        try:
            rewritten = answer.replace(segments=wanted)
        except ValueError:  # a signed text
            continue
        strict_json.loads(rewritten.encode())
        assert _texts(rewritten.segments) == _texts(wanted)
    events = dialect.unfold(dict(answer.document))
    assert sum(event.closes for event in events) <= 1
    again = read(dialect, b"".join(event.raw for event in events))
    assert [event.data for event in again] == [event.data for event in events]
    assert dialect.fold(again) == dialect.fold(events)
    assert [event.data for event in again] == read_data(dialect, events), "folding wrote to events"


def read_data(dialect: Dialect, events: Sequence[Event]) -> list[object]:
    """Return what events hold by their bytes."""
    return [event.data for event in read(dialect, b"".join(event.raw for event in events))]


def _texts(segments: Sequence[Segment]) -> list[str]:
    # Anthropic's arguments are an object: nothing is an empty one.
    return [s.text for s in segments if s.text and s.text != "{}"]


def read(dialect: Dialect, stream: bytes) -> list[Event]:
    """Return the events of a stream."""
    decoder = FrameDecoder(1 << 22)
    frames = [*decoder.feed(stream), *decoder.finish()]
    return [dialect.decode_event(frame.raw, frame.name, frame.data) for frame in frames]
