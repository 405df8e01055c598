"""Encoded pieces of a text, decoded: base64, hex, escapes, binary, ROT13, reversed words."""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
import urllib.parse
from collections.abc import Callable, Iterator

from pipeline.inference.suspicion import may_be_encoded

MAX_BLOCKS = 256
MAX_BLOCK_CHARS = 16_384
_LEAST_CHARS = 6

_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{12,}={0,2}")
_HEX = re.compile(r"(?<![A-Za-z0-9])(?:(?:\\x|0x)?[0-9A-Fa-f]{2}[ ,:]{0,2}){8,}")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2}[\w.+~!*'()-]{0,24}){4,}")
_ESCAPES = re.compile(r"(?:(?:\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\[0-7]{3})[ ]?){4,}")
_ENTITIES = re.compile(r"(?:&#(?:x[0-9A-Fa-f]{2,5}|[0-9]{2,6});[\w ]{0,8}){3,}")
_BINARY = re.compile(r"(?<![0-9])(?:[01]{8}[ ,]?){5,}(?![0-9])")
_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})|\\x([0-9A-Fa-f]{2})|\\([0-7]{3})")
_WORD = re.compile(r"[A-Za-z]+")

# Frequent words of requests; none of them is another English word reversed or in ROT13.
_COMMON = frozenset(
    (
        "the", "and", "you", "your", "all", "this", "that", "with", "what", "how", "tell", "from",
        "have", "not", "are", "can", "please", "ignore", "previous", "instructions", "instruction",
        "system", "prompt", "reveal", "forget", "rules", "follow", "print", "write", "make", "give",
        "show", "above", "before", "respond", "answer", "say", "without", "secret", "password",
        "disregard", "is", "of",
    )
)  # fmt: skip
_ROT13 = frozenset(codecs.encode(word, "rot13") for word in _COMMON)
_REVERSED = frozenset(word[::-1] for word in _COMMON) - _COMMON
_CODED = _ROT13 | _REVERSED
_LEAST_WORDS = 3


def decoded_blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield where each encoded piece of a text begins, and what it says, in no order.

    Pieces that decode to something else than text, such as images, are left out. There are at
    most `MAX_BLOCKS`, of `MAX_BLOCK_CHARS` each, and what they say is never longer than they.
    """
    left = MAX_BLOCKS
    encoded = may_be_encoded(text)
    for pattern, decode, sign in _CODINGS:
        if not (sign in text if sign else encoded):
            continue
        for found in pattern.finditer(text):
            plain = decode(found[0][:MAX_BLOCK_CHARS])
            if plain is not None and _reads_as_text(plain):
                yield found.start(), plain
                if not (left := left - 1):
                    return
    yield from _coded_words(text)


def _reads_as_text(plain: str) -> bool:
    """Return whether what was decoded is writing: mostly letters and blanks, no control signs."""
    if len(plain) < _LEAST_CHARS:
        return False
    good = sum(sign.isalpha() or sign in " \n\t.,:;!?'\"-" for sign in plain)
    return good * 10 >= len(plain) * 8


def _from_base64(block: str) -> str | None:
    """Return the text of a base64 block, also of the URL alphabet or without padding."""
    if block.isalpha() and (block.islower() or block.isupper() or block.istitle()):
        return None
    body = block.rstrip("=").replace("-", "+").replace("_", "/")
    body = body[: len(body) - (len(body) % 4 == 1)]
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), validate=True)
        return raw.decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        return None


def _from_hex(block: str) -> str | None:
    """Return the text of hexadecimal digits, however they are set apart."""
    digits = re.sub(r"\\x|0x|[^0-9A-Fa-f]", "", block)
    try:
        return bytes.fromhex(digits[: len(digits) // 2 * 2]).decode("utf-8")
    except (UnicodeDecodeError, ValueError):
        return None


def _from_binary(block: str) -> str | None:
    """Return the text of octets written in zeros and ones."""
    digits = re.sub("[^01]", "", block)
    raw = bytes(int(digits[place : place + 8], 2) for place in range(0, len(digits) - 7, 8))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _from_escapes(block: str) -> str | None:
    """Return the text of backslash escapes."""
    return _ESCAPE.sub(
        lambda found: chr(int(found[1] or found[2], 16) if not found[3] else int(found[3], 8)),
        block,
    )


_CODINGS: tuple[tuple[re.Pattern[str], Callable[[str], str | None], str], ...] = (
    (_PERCENT, urllib.parse.unquote_plus, "%"),
    (_ESCAPES, _from_escapes, "\\"),
    (_ENTITIES, html.unescape, "&#"),
    (_BINARY, _from_binary, "01"),
    (_HEX, _from_hex, "0x"),
    (_HEX, _from_hex, ""),
    (_BASE64, _from_base64, ""),
)


def _coded_words(text: str) -> Iterator[tuple[int, str]]:
    """Yield stretches of words that are English once rotated by 13 letters or read backwards."""
    if _CODED.isdisjoint(text.lower().split()):
        return
    words = [(found.start(), found.end(), found[0].lower()) for found in _WORD.finditer(text)]
    for coded, decode in ((_ROT13, _rot13), (_REVERSED, _backwards)):
        hits = [word for word in words if word[2] in coded]
        plain = sum(word[2] in _COMMON for word in words)
        if len({word[2] for word in hits}) < _LEAST_WORDS or len(hits) * 2 < plain:
            continue
        begin = max(0, text.rfind("\n", 0, hits[0][0]) + 1, hits[0][0] - 200)
        stretch = text[begin : min(hits[-1][1] + 200, begin + MAX_BLOCK_CHARS)]
        yield begin, decode(stretch)


def _rot13(text: str) -> str:
    """Return a text with each letter of the alphabet moved by thirteen."""
    return codecs.encode(text, "rot13")


def _backwards(text: str) -> str:
    """Return a text read backwards: whole, or word by word where only words are reversed."""
    whole = text[::-1]
    order = sum(whole.find(f" {word} ") >= 0 for word in ("all", "the", "your", "and"))
    words = _WORD.sub(lambda found: found[0][::-1], text)
    return f"{whole}\n{words}" if order else words
