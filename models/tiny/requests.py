"""Requests that code makes up: everyday frames around random words of the vocabulary.

They show the table what every word adds to a sentence, and how little a frame does.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

_OPENINGS = (
    "", "", "", "", "please", "hey", "ok", "hi", "so", "now", "can you please", "could you",
    "can you", "would you", "will you please", "i want you to", "i need you to", "i'd like you to",
    "help me", "let me", "i want to", "i need to", "i would like to", "i have to", "i'm trying to",
    "how do i", "how can i", "how should i", "how to", "where can i", "when should i",
    "why can't i", "is it possible to", "is there a way to", "do i have to", "should i",
    "what is the best way to", "tell me how to", "show me how to", "explain how to",
)  # fmt: skip
_QUESTIONS = (
    "what is", "what's", "what are", "what was", "who is", "who was", "where is", "where's",
    "where are", "when is", "when does", "when did", "why is", "why do", "why does", "how much is",
    "how much does", "how many", "how long is", "how long does", "how far is", "how often do",
    "which", "is there", "are there any", "do you have", "do you know", "can i get", "i have a",
    "i want a", "i need", "i need some information on", "tell me about", "tell me", "show me",
    "give me", "find me", "look up", "check", "explain", "describe", "list", "i lost", "i like",
    "do i have any", "does", "did", "is", "are", "was", "what do you call", "what does it mean",
    "what kind of", "what time is", "what day is", "write", "write a story about", "summarize",
)  # fmt: skip
_BETWEEN = (
    "", "", "", "", "of", "of the", "for", "for the", "for my", "in", "in the", "on", "on my",
    "to", "to the", "with", "with my", "from", "from my", "by", "at", "at the", "about", "and",
    "or", "without", "my", "the", "a", "your", "and the", "near", "between", "not",
)  # fmt: skip
_DETERMINERS = ("", "", "the", "the", "my", "my", "a", "a", "an", "some", "your", "this", "that")
_ENDINGS = (
    "", "", "", "", "", "", "please", "now", "today", "tomorrow", "for me", "right now", "?", "?",
    "thanks", "this week", "next month", "tonight", "if possible", "at the moment", ".", "!",
    "in python", "step by step", "in simple words", "in one sentence",
)  # fmt: skip


def made_up(words: Sequence[str], generator: random.Random) -> str:
    """Return a request of one to four words of the vocabulary in a frame.

    Args:
        words: the commonest first; common ones come more often.
        generator: of the choices.
    """
    opening = generator.choice(_OPENINGS if generator.random() < 0.5 else _QUESTIONS)
    parts = [opening, generator.choice(_DETERMINERS)]
    count = generator.choice((1, 1, 2, 2, 2, 3, 3, 4))
    for place in range(count):
        # Its square is small more often than large: common words first, the whole list in reach.
        parts.append(words[int(generator.random() ** 2 * len(words))])
        if place + 1 < count:
            parts.append(generator.choice(_BETWEEN))
    parts.append(generator.choice(_ENDINGS))
    return " ".join(part for part in parts if part)
