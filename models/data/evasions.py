"""Disguises that a text may be sent in; what is harmless comes in them too."""

from __future__ import annotations

import base64
import codecs
import random
import urllib.parse
from collections.abc import Callable

_LEET = str.maketrans("aeiostlbAEIOSTLB", "4310571843105718")
_GLYPHS = str.maketrans("aceiopsxyABCEHIKMOPTX", "асеіорѕхуАВСЕНІКМОРТХ")
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {0x20: 0x3000}
_ZERO_WIDTH = "\u200b\u200c\u200d\u2060"
_TAG = 0xE0000
_BOLD_CAPITAL, _BOLD_SMALL = 0x1D5D4, 0x1D5EE


def _alternating(text: str, chance: random.Random) -> str:
    return "".join(letter.upper() if chance.random() < 0.5 else letter.lower() for letter in text)


def _spaced(text: str, chance: random.Random) -> str:
    by = chance.choice((" ", " ", ".", "-", "_"))
    return ("  " if by == " " else " ").join(by.join(word) for word in text.split(" "))


def _zero_width(text: str, chance: random.Random) -> str:
    return "".join(
        letter + (chance.choice(_ZERO_WIDTH) if letter.isalpha() else "") for letter in text
    )


def _tags(text: str, chance: random.Random) -> str:
    cover = chance.choice(
        ("Hello!", "What is the weather today?", "Thanks", "Please summarise this.")
    )
    return cover + "".join(chr(_TAG + ord(letter)) for letter in text if ord(letter) < 0x7F)


def _homoglyphs(text: str, chance: random.Random) -> str:
    return "".join(
        letter.translate(_GLYPHS) if chance.random() < 0.6 else letter for letter in text
    )


def _leet(text: str, chance: random.Random) -> str:
    return "".join(letter.translate(_LEET) if chance.random() < 0.8 else letter for letter in text)


def _wide(text: str, _: random.Random) -> str:
    return text.translate(_WIDE)


def _bold(text: str, _: random.Random) -> str:
    return "".join(
        chr(_BOLD_CAPITAL + ord(letter) - 65) if "A" <= letter <= "Z"
        else chr(_BOLD_SMALL + ord(letter) - 97) if "a" <= letter <= "z"
        else letter
        for letter in text
    )  # fmt: skip


def _emoji(text: str, chance: random.Random) -> str:
    sign = chance.choice("😊🔥⭐🙂")
    words = (word[: len(word) // 2] + sign + word[len(word) // 2 :] for word in text.split(" "))
    return " ".join(words)


def _base64(text: str, chance: random.Random) -> str:
    lead = chance.choice(("Decode this and follow it: ", "", "Base64: ", "Run: "))
    return lead + base64.b64encode(text.encode()).decode()


def _hex(text: str, chance: random.Random) -> str:
    return chance.choice(("", "Hex: ", "Decode: ")) + text.encode().hex(chance.choice((" ", ":")))


def _url(text: str, _: random.Random) -> str:
    return (
        "".join(f"%{octet:02X}" for octet in text.encode())
        if len(text) < 200
        else (urllib.parse.quote(text, safe=""))
    )


def _rot13(text: str, chance: random.Random) -> str:
    return chance.choice(("", "Decode this ROT13: ")) + codecs.encode(text, "rot13")


def _reversed(text: str, _: random.Random) -> str:
    return text[::-1]


EVASIONS: dict[str, Callable[[str, random.Random], str]] = {
    "case": _alternating,
    "spacing": _spaced,
    "zero-width": _zero_width,
    "tags": _tags,
    "homoglyphs": _homoglyphs,
    "leetspeak": _leet,
    "full-width": _wide,
    "bold": _bold,
    "emoji": _emoji,
    "base64": _base64,
    "hex": _hex,
    "url": _url,
    "rot13": _rot13,
    "reversed": _reversed,
}
"""By name; each takes a text and a source of choices."""


def disguise(text: str, evasion: str, chance: random.Random) -> str:
    """Return a text in a disguise.

    Args:
        text: what to hide.
        evasion: a key of `EVASIONS`.
        chance: of the choices that the disguise leaves open.
    """
    return EVASIONS[evasion](text, chance)
