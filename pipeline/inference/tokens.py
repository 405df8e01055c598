"""Texts made ready for a model: token ids, cut into windows, of the text and of its views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.inference.contract import Ids, Prepared, Vector
from pipeline.inference.views import views
from pipeline.inference.windows import Cut, cut
from pipeline.inference.wordpiece import encoder, open_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# English has 4 to 5 characters a token; longer than this are blanks and words nobody reads.
_CHARS_PER_TOKEN = 16

Extra = Callable[[str], Vector]


class Affixes(NamedTuple):
    """Special tokens around every window."""

    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()


class Preparer:
    """Prepares texts; for one thread at a time.

    Args:
        tokenizer: content of a `tokenizer.json`.
        max_tokens: in a window, special tokens among them.
        overlap: tokens that neighbours share.
        windows: of one text, or of one of its views, at most.
        with_special: whether windows begin and end with the tokenizer's special tokens.
    """

    def __init__(
        self,
        tokenizer: bytes | str,
        *,
        max_tokens: int,
        overlap: int,
        windows: int,
        with_special: bool = True,
    ) -> None:
        opened = open_tokenizer(tokenizer)
        self._encode = encoder(opened)
        self._affixes = affixes(opened) if with_special else Affixes()
        self._content = max_tokens - len(self._affixes.prefix) - len(self._affixes.suffix)
        self._overlap = min(overlap, self._content - 1)
        self._windows = windows
        self._max_chars = windows * max_tokens * _CHARS_PER_TOKEN

    def __call__(
        self, texts: Sequence[str], *, with_views: bool = False, extra: Extra | None = None
    ) -> list[Prepared]:
        """Return texts ready for a model.

        Args:
            texts: of any length; what is not read of them is counted, by estimate where a
                text is so long that its middle is not even tokenised.
            with_views: whether to add the views that guards read.
            extra: makes the numbers beside a text.
        """
        return [self._prepared(text, with_views, extra) for text in texts]

    def _prepared(self, text: str, with_views: bool, extra: Extra | None) -> Prepared:
        ids, skipped = self._ids(text)
        numbers = None if extra is None else extra(text)
        found = self._cut(ids, 0, numbers)
        windows = found.windows
        if with_views:
            for view, other in enumerate(views(text), start=1):
                windows += self._cut(self._ids(other)[0], view, numbers).windows
        return Prepared(windows, len(ids) + skipped, found.unread + skipped)

    def _cut(self, ids: Ids, view: int, numbers: Vector | None) -> Cut:
        prefix, suffix = self._affixes
        return cut(
            ids,
            self._content,
            overlap=self._overlap,
            limit=self._windows,
            prefix=prefix,
            suffix=suffix,
            view=view,
            extra=numbers,
        )

    def _ids(self, text: str) -> tuple[Ids, int]:
        """Return a text's ids, and about how many more it has: a long one is read at both ends."""
        if len(text) <= self._max_chars:
            return self._encode(text), 0
        half = self._max_chars // 2
        ids = np.concatenate([self._encode(text[:half]), self._encode(text[-half:])])
        left = len(text) - 2 * half
        return ids, -(-left * max(1, len(ids)) // (2 * half))


def affixes(tokenizer: Tokenizer) -> Affixes:
    """Return the special tokens that a tokenizer puts before and behind a text."""
    plain = tokenizer.encode("a", add_special_tokens=False).ids
    whole = tokenizer.encode("a").ids
    for begin in range(len(whole) - len(plain) + 1):
        if whole[begin : begin + len(plain)] == plain:
            return Affixes(tuple(whole[:begin]), tuple(whole[begin + len(plain) :]))
    return Affixes()
