"""Whether a text may hold a disguise at all: a few look-ups that spare plain writing the search.

A text is mapped to one letter for each class of characters, and the shapes of disguises are
looked for in that. A shape that is there may still be none: the patterns proper decide.
"""

from __future__ import annotations

import string

_LETTERS = string.ascii_letters
_DIGITS = string.digits
# Signs that pass for letters in leetspeak, and those that stand between letters one by one.
_SIGNS = "@$+!|"
_SEPARATORS = " .-_*+~\\/,|"


def _table(*classes: tuple[str, str]) -> bytes:
    """Return a table for `bytes.translate`: a letter by class, a dot for all else."""
    table = bytearray(b"." * 256)
    for letter, members in classes:
        for member in members:
            table[ord(member)] = ord(letter)
    return bytes(table)


_APART = _table(("a", _LETTERS + _DIGITS + "@$!"), ("s", _SEPARATORS))
_MIXED = _table(("a", _LETTERS), ("1", _DIGITS + _SIGNS))
_DENSE = _table(("b", _LETTERS + _DIGITS + "+/_-"))
_HEX = _table(("h", _DIGITS + "abcdefABCDEF"), ("s", " ,:"))
_SPACED = b"sasasa"
_BLOCK = b"b" * 12
_OCTETS = b"hhs" * 4
_LEET = (b"a1a", b"a11a", b"a111a", b".1aa", b".11aa")


def _shape(text: str, table: bytes) -> bytes:
    return text.encode("ascii", "replace").translate(table)


def may_be_spaced(text: str) -> bool:
    """Return whether several single letters stand in a row."""
    return _SPACED in b"s" + _shape(text, _APART)


def may_be_leet(text: str) -> bool:
    """Return whether digits or signs stand where letters are expected."""
    shape = b"." + _shape(text, _MIXED)
    return b"1" in shape and any(one in shape for one in _LEET)


def may_be_encoded(text: str) -> bool:
    """Return whether there is a stretch that base64 or hexadecimal digits could be."""
    return _BLOCK in _shape(text, _DENSE) or _OCTETS in _shape(text, _HEX)
