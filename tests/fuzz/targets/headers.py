"""Headers: an edit is legal HTTP or refused, and edits add up to what they do one by one."""

from __future__ import annotations

from pipeline.api.headers import HeaderEdits, Headers
from pipeline.errors import InvalidHeader
from tests.fuzz.reader import Choices

TOKENS = (b":path", b":status", b"content-length", b"\r\n", b"\x00", b"\xff", b"\xed\xb3\xbf", b"x")
CANARY = "QZJWKV"
_NAMES = ("a", "b", ":path", "content-type", ":status")


def check(data: bytes) -> None:
    choices = Choices(data)
    pairs = [(choices.pick(_NAMES), choices.piece()) for _ in range(choices.byte() % 5)]
    given = [_edits(choices) for _ in range(3)]
    headers, joined = Headers(pairs), HeaderEdits()
    for edits in given:
        before, headers = headers, headers.edited(edits)
        _applied(before, edits, headers)
        joined = joined.then(edits)
    assert sorted(Headers(pairs).edited(joined).pairs) == sorted(headers.pairs)
    plain = joined.without_pseudo()
    assert not any(name.startswith(":") for name in (*plain.set, *plain.remove))
    assert CANARY not in repr(headers) + repr(joined)


def _applied(before: Headers, edits: HeaderEdits, after: Headers) -> None:
    for name, value in edits.set.items():
        raw = value.encode("utf-8", "surrogateescape")
        assert name == name.lower()
        assert not any(byte in b"\x00\r\n\x7f" for byte in name.encode() + raw)
        assert len(raw) <= 60 * 1024
        assert after.get_all(name) == [raw.decode("utf-8", "surrogateescape")]
    assert not (edits.remove - edits.set.keys()) & set(after)
    untouched = set(before) - edits.set.keys() - edits.remove
    assert all(before.get_all(name) == after.get_all(name) for name in untouched)


def _edits(choices: Choices) -> HeaderEdits:
    # As plugins make them: any string, odd surrogates included.
    values = {choices.pick(_NAMES): _text(choices) for _ in range(choices.byte() % 3)}
    if choices.byte() % 4 == 0:
        values[_text(choices)] = CANARY
    removed = frozenset(choices.pick(_NAMES) for _ in range(choices.byte() % 3))
    try:
        return HeaderEdits(set=values, remove=removed)
    except InvalidHeader as error:
        assert CANARY not in str(error) or any(CANARY in name for name in values)
        return HeaderEdits()


def _text(choices: Choices) -> str:
    text = choices.piece().decode("utf-8", "surrogateescape")
    return text + "\ud800" if choices.byte() == 0xFF else text
