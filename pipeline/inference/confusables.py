"""Letters that look like Latin ones, and characters that nobody sees: tables of our own."""

from __future__ import annotations

# Latin letter -> what passes for it in other scripts. NFKC has dealt with mathematical,
# full-width, circled and other compatibility letters before this table is asked.
_LOOKALIKES = {
    "a": "аαɑạәа⍺ᴀ🅐🅰",
    "b": "ЬьƅβвВɓʙ🅑🅱",
    "c": "сϲсᴄ🅒🅲",
    "d": "ԁɗđᴅ🅓🅳",
    "e": "еєҽεɛ℮ᴇ€🅔🅴",
    "f": "ғſꜰƒ🅕🅵",
    "g": "ɡցɢǥ🅖🅶",
    "h": "һհнНʜħ🅗🅷",
    "i": "іιɩıӏɪїί🅘🅸",
    "j": "јϳᴊʝ🅙🅹",
    "k": "кκКᴋƙ🅚🅺",
    "l": "ⅼӀʟłƖɭ🅛🅻",
    "m": "мМᴍ🅜🅼",
    "n": "ոпηɴηƞ🅝🅽",
    "o": "оοσօᴏøоө○🅞🅾",
    "p": "рρᴘþƿ🅟🅿",
    "q": "ԛգʠ🅠🆀",
    "r": "гʀɾᴦ🅡🆁",
    "s": "ѕꜱʂƨ🅢🆂",
    "t": "тτТᴛŧ🅣🆃",
    "u": "υսᴜμцʊ🅤🆄",
    "v": "νѵᴠⅴ🅥🆅",
    "w": "ԝωшᴡѡ🅦🆆",
    "x": "хχ×🅧🆇",
    "y": "уүγʏў🅨🆈",
    "z": "ᴢʐƶ🅩🆉",
    "A": "АΑᎪ",
    "B": "ΒᏴ",
    "C": "СϹᏟ",
    "D": "Ꭰ",
    "E": "ЕΕᎬ",
    "G": "Ԍ",
    "H": "ΗᎻ",
    "I": "ІΙ",
    "J": "ЈᎫ",
    "K": "ΚᏦ",
    "L": "ᏞᏓ",
    "M": "ΜᎷ",
    "N": "Ν",
    "O": "ОΟՕ",
    "P": "РΡᏢ",
    "S": "ЅᏚ",
    "T": "ΤᎢ",
    "V": "ᏙѴ",
    "W": "ᎳԜ",
    "X": "ХΧ",
    "Y": "УΥҮ",
    "Z": "ΖᏃ",
}

LOOKALIKES = {ord(other): latin for latin, others in _LOOKALIKES.items() for other in others}
"""Code point to Latin letter, for `str.translate`."""

JOINERS = "\u200c\u200d\ufe0e\ufe0f"
"""Invisible, but spelling or emoji need them outside Latin, Greek and Cyrillic words."""

INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u200e\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff9-\ufffb\U000e0100-\U000e01ef"
)
"""Of a character class: zero-width, filling, bidirectional and variation characters."""

LEET = str.maketrans("0345678@$€+!|", "oeasgtbasetil")
"""Digits and signs that stand for letters; 1 and 9 depend on where they stand."""
