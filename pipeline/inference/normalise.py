"""Text as a reader sees it: compatibility forms, look-alikes, hidden signs and spacing undone.

Serving and training both read texts through this, so that a guard knows a disguised word for
the word that it is. Benign writing stays: other scripts, accents, emoji, code, numbers.
"""

from __future__ import annotations

import re
import unicodedata

from pipeline.inference.confusables import INVISIBLE, JOINERS, LEET, LOOKALIKES
from pipeline.inference.suspicion import may_be_leet, may_be_spaced

_TAGS = re.compile("[\U000e0000-\U000e007f]+")
_FLAG = re.compile("(\U0001f3f4)[\U000e0020-\U000e007e]{2,6}\U000e007f")
_INVISIBLE = re.compile(f"[{INVISIBLE}]+")
# Joiners where no script or emoji needs them: after a letter that is Latin, Greek or Cyrillic.
_STRAY_JOINERS = re.compile(f"(?<=[\u0020-\u052f\u1e00-\u1fff])[{JOINERS}]+")
_COMBINING = re.compile("(?<=[A-Za-z\u0300-\u036f])[\u0300-\u036f\u0488\u0489\u20d0-\u20ff]{2,}")
_REGIONAL = re.compile("[\U0001f1e6-\U0001f1ff]{3,}")
_SYMBOLS = "\u2190-\u2bff\U0001f000-\U0001faff"
_INSIDE_WORD = re.compile(f"(?<=[A-Za-z])[{_SYMBOLS}{JOINERS}]+(?=[A-Za-z])")
# What any of the patterns above begins with: most texts have none of it.
_UNUSUAL = re.compile(
    f"[{INVISIBLE}{JOINERS}{_SYMBOLS}\u0300-\u036f\u20d0-\u20ff\U000e0000-\U000e007f]"
)
# Compatibility forms of letters and digits; those of punctuation are ordinary in many scripts.
_COMPATIBLE = re.compile(
    "[\u02b0-\u02b8\u02e0-\u02e4\u1d2c-\u1d6a\u2070-\u209c\u2102-\u2115\u2119-\u2139"
    "\u2145-\u2149\u2160-\u217f\u249c-\u24e9\ufb00-\ufb06\uff10-\uff19\uff21-\uff3a"
    "\uff41-\uff5a\U0001d400-\U0001d7ff\U0001f110-\U0001f149]+"
)
_LOOKALIKE = re.compile(f"[{''.join(map(chr, LOOKALIKES))}]")
_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile("[A-Za-z]")
# Signs such as € pass for letters as well, but only inside a word.
_RUN = re.compile("(?:[^\\W_]|(?<=[A-Za-z])[€℮×○]|[€℮×○](?=[A-Za-z])|[🅐-🅩🅰-🆉])+")
_REGIONAL_LETTERS = {0x1F1E6 + place: chr(ord("a") + place) for place in range(26)}


def _spaced(least: int) -> re.Pattern[str]:
    """Return what finds words of so many letters that are written apart.

    The letters stand between the same few signs; doubled blanks and other signs end a word.
    """
    return re.compile(
        r"(?<![A-Za-z0-9])(?:[A-Za-z0-9@$!|](?P<by>[ .\-_*+~\\/,|])"
        rf"(?:[A-Za-z0-9@$!|](?P=by)){{{least - 2},}}[A-Za-z0-9@$!|])(?![A-Za-z0-9])"
    )


_SPACED = _spaced(4)
# In a text where one word is spelt out, the short words are too.
_SPACED_SHORT = _spaced(2)
_LEET_WORD = re.compile(r"(?<![\w@$€+!|\\%#&])[\w@$€+!|]{1,23}[\w@$€+|](?![\w@$€+|])")
_LEET_SIGN = re.compile(
    r"(?<=[A-Za-z])[0-9@$€+!|]+[A-Za-z]|(?<![\w.\\%#])[0-9@$€+!|]{1,2}[A-Za-z]{2}"
)
_MEASURE = re.compile(
    r"^(1st|2nd|3rd|[0-9]th|[0-9$€+]+(s|k|[kmgt]?b|[ap]m|px|[kcm]?m|kg|hz|ms|x|d))$", re.IGNORECASE
)
_VOWEL = re.compile("[aeiouy]", re.IGNORECASE)
_LEAST_WORDS = 2
ROUNDS = 3


def normalise(text: str) -> str:
    """Return the text with its disguises undone; a plain text comes back as it is.

    Args:
        text: any string, lone surrogates among them; the time it takes grows with its length.
    """
    for _ in range(ROUNDS):
        plain = _undo(text)
        if plain == text:
            break
        text = plain
    return text


def _undo(text: str) -> str:
    """Undo each disguise once: what one hides another may have been laid over."""
    if not text.isascii():
        text = _to_latin(_visible(text))
    return _unleet(_join_letters(text))


def _visible(text: str) -> str:
    """Return the text without what nobody sees; hidden ASCII in tag characters becomes visible."""
    text = _COMPATIBLE.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    text = _REGIONAL.sub(lambda found: found[0].translate(_REGIONAL_LETTERS), text)
    if not _UNUSUAL.search(text):
        return text
    if _TAGS.search(text):
        text = _TAGS.sub(lambda found: _untag(found[0]), _FLAG.sub(r"\1", text))
    text = _INVISIBLE.sub("", text)
    text = _STRAY_JOINERS.sub("", text)
    text = _COMBINING.sub("", text)
    return _INSIDE_WORD.sub("", text)


def _untag(tags: str) -> str:
    """Return what tag characters spell, as words of their own."""
    spelt = "".join(chr(ord(tag) - 0xE0000) for tag in tags if 0x20 <= ord(tag) - 0xE0000 < 0x7F)
    return f" {spelt} " if spelt.strip() else ""


def _to_latin(text: str) -> str:
    """Return the text with look-alikes from other scripts in Latin words as Latin letters."""
    if not _LOOKALIKE.search(text) or not _LATIN.search(text):
        return text
    words = _WORD.findall(text)
    foreign = sum(not word.isascii() and not _touches_latin(word) for word in words)
    mostly_latin = 3 * foreign < len(words)

    def repair(found: re.Match[str]) -> str:
        word = found[0]
        if word.isascii():
            return word
        plain = word.translate(LOOKALIKES)
        if plain.isascii() and (_touches_latin(word) or (mostly_latin and len(word) > 1)):
            return plain
        return word

    return _RUN.sub(repair, text)


def _touches_latin(word: str) -> bool:
    """Return whether a word has at least one letter of the plain alphabet."""
    return any("a" <= letter <= "z" or "A" <= letter <= "Z" for letter in word)


def _join_letters(text: str) -> str:
    """Return the text with words that were spelt out letter by letter written together."""
    if may_be_spaced(text) and any(_joined(one) != one[0] for one in _SPACED.finditer(text)):
        return _SPACED_SHORT.sub(_joined, text)
    return text


def _joined(found: re.Match[str]) -> str:
    """Return the letters of a spelt-out word; numbers, dates and versions stay as they are."""
    letters = found[0][::2]
    return letters if sum(letter.isalpha() for letter in letters) * 2 > len(letters) else found[0]


def _unleet(text: str) -> str:
    """Return the text with digits that stand for letters as letters, if it has several such words.

    Names such as mp3, h2o, k8s or 10am hold digits too; a text with one of them is no disguise.
    """
    if not may_be_leet(text) or not _LEET_SIGN.search(text):
        return text
    words = {found[0] for found in _LEET_WORD.finditer(text) if _is_leet(found[0])}
    if len(words) < _LEAST_WORDS:
        return text
    return _LEET_WORD.sub(
        lambda found: _letters(found[0]) if _is_leet(found[0]) or _follows(found[0]) else found[0],
        text,
    )


def _is_leet(word: str) -> bool:
    """Return whether a word reads as letters once its digits are letters."""
    if word.isalpha() or not _LEET_SIGN.search(word) or _MEASURE.match(word):
        return False
    letters = _letters(word)
    digits = sum(not letter.isalpha() for letter in word)
    return (
        len(word) > 2
        and letters.isascii()
        and letters.isalpha()
        and digits * 4 <= len(word) * 3
        and _VOWEL.search(letters) is not None
        and (digits > 1 or len(word) > 3)
    )


def _follows(word: str) -> bool:
    """Return whether a short word goes along once a text is known to be leetspeak."""
    return (
        1 < len(word) <= 4
        and not word.isdigit()
        and not word.isalpha()
        and not _MEASURE.match(word)
    )


def _letters(word: str) -> str:
    """Return a word with its digits and signs as the letters that they stand for."""
    if "1" in word or "9" in word:
        word = "".join(
            _one(word, place) if sign == "1" else "g" if sign == "9" else sign
            for place, sign in enumerate(word)
        )
    return word.translate(LEET)


def _one(word: str, place: int) -> str:
    """Return the letter that a 1 stands for: an l after a vowel or beside another, else an i."""
    before, after = word[place - 1 : place].lower(), word[place + 1 : place + 2].lower()
    if (before in ("l", "1") and before) or after == "1":
        return "l"
    if (before and before in "aeou04") or (
        place == 1 and before in "bcfgps" and after in "aeouy034"
    ):
        return "l"
    return "i"
