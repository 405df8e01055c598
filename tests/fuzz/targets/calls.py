"""Calls: every dialect takes a body or says why not, and an edit does what it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pipeline.api import Call, Dialect, Segment
from pipeline.dialects import strict_json
from pipeline.dialects.registry import builtin
from pipeline.errors import InvalidCall
from tests.fuzz.vocabulary import WORDS

__all__ = ["TOKENS", "WORDS", "check"]
TOKENS = tuple(word.encode() for word in WORDS)
_DIALECTS = [dialect for name in builtin().names if (dialect := builtin().by_name(name))]
_NEW = (
    Segment("system", "new rules"),
    Segment("user", "new question"),
    Segment("assistant", "new answer"),
)


def check(data: bytes) -> None:
    try:
        document = strict_json.loads_object(data)
    except InvalidCall:
        return
    before = strict_json.dumps(document)
    for dialect in _DIALECTS:
        try:
            dialect.check(document)
        except InvalidCall as error:
            assert 400 <= error.status < 500
            assert error.code
            # What a client may say wrong, plugins never see; reading stays safe all the same.
            dialect.segments(document)
            dialect.tools(document)
            continue
        _valid(dialect, Call(dialect, document, data))
        assert strict_json.dumps(document) == before, "an edit wrote to what it was given"


def _valid(dialect: Dialect, call: Call) -> None:
    segments = call.segments
    assert all(segment.at is not None for segment in segments)
    assert len({segment.at for segment in segments}) == len(segments)
    assert call.encode() is call.replace(segments=segments).encode()
    for what in (call.tools, call.params, call.attachments, call.model, repr(call)):
        assert what is not None
    assert call.replace(model="other").model == "other"
    assert call.replace(stream=True).stream
    assert call.replace(set_params={"index": True}).document["index"] is True
    texts = [segment for segment in segments if segment.text is not None]
    louder = [replace(s, text=s.text + "!") if s.text is not None else s for s in segments]
    for place, segment in enumerate(segments):
        if segment.text is not None:
            one = [*segments[:place], louder[place], *segments[place + 1 :]]
            _edited(dialect, call, one)
    _edited(dialect, call, louder)
    _edited(dialect, call, [])
    _edited(dialect, call, segments[::2])
    _edited(dialect, call, texts)
    _edited(dialect, call, [*_NEW, *segments])
    _edited(dialect, call, [*segments, *_NEW])
    _edited(dialect, call, [*segments[:1], *_NEW, *segments[2:]])


def _edited(dialect: Dialect, call: Call, wanted: Sequence[Segment]) -> None:
    try:
        edited = call.replace(segments=wanted)
    except ValueError:  # documented: this API cannot carry it
        return
    raw = edited.encode()
    assert strict_json.loads(raw) == dict(edited.document)
    kept = Counter(segment.text for segment in edited.segments if segment.text)
    asked = Counter(segment.text for segment in wanted if segment.text)
    assert kept <= asked, f"{dialect.name} kept a text"
    if {segment.at for segment in call.segments} <= {segment.at for segment in wanted}:
        # Else what makes no sense without a text that was removed may go with it.
        assert kept == asked, f"{dialect.name} lost a text"
    try:
        dialect.check(dict(edited.document))
    except InvalidCall as error:
        # Without a single segment a call may lack what its API asks for.
        assert not wanted or error.code == "missing_field", f"{dialect.name}: {error.code}"
