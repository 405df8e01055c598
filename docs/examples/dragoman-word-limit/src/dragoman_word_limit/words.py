"""Counting words in a text that comes in pieces."""

from __future__ import annotations


class WordCounter:
    """Counts words, also those that are cut in two between pieces."""

    def __init__(self) -> None:
        self.count = 0
        self._is_in_word = False

    def feed(self, piece: str) -> int:
        """Take the next piece of the text and return the number of words so far."""
        if piece:
            goes_on = self._is_in_word and not piece[0].isspace()
            self.count += len(piece.split()) - goes_on
            self._is_in_word = not piece[-1].isspace()
        return self.count
