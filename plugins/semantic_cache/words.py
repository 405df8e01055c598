"""Words that many entries share, each kept once and counted."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

WordT = TypeVar("WordT", bound=Hashable)


class Words(Generic[WordT]):
    """Gives each word a small number for as long as something uses it."""

    def __init__(self) -> None:
        self._numbers: dict[WordT, int] = {}
        self._words: list[WordT | None] = []
        self._uses = array("q")
        self._free: list[int] = []

    def use(self, word: WordT) -> int:
        """Return a word's number, and count one use more."""
        number = self._numbers.get(word)
        if number is None:
            if self._free:
                number = self._free.pop()
                self._words[number] = word
            else:
                number = len(self._words)
                self._words.append(word)
                self._uses.append(0)
            self._numbers[word] = number
        self._uses[number] += 1
        return number

    def release(self, number: int) -> None:
        """Count one use less; a word without use is forgotten and its number comes again."""
        self._uses[number] -= 1
        if self._uses[number] == 0:
            del self._numbers[self[number]]
            self._words[number] = None
            self._free.append(number)

    def number(self, word: WordT) -> int:
        """Return the number of a word in use, -1 of any other."""
        return self._numbers.get(word, -1)

    def numbers(self, suits: Callable[[WordT], bool]) -> list[int]:
        """Return the numbers of the words in use that suit."""
        return [number for word, number in self._numbers.items() if suits(word)]

    def __getitem__(self, number: int) -> WordT:
        word = self._words[number]
        if word is None:
            raise KeyError(number)
        return word

    @property
    def size_bytes(self) -> int:
        """What it takes of memory, about: a dict's entry, an object and two references a word."""
        return 200 * len(self._numbers)
