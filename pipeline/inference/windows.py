"""Windows: a sequence of tokens cut into pieces that a model reads, and what is left unread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.inference.contract import Ids, Vector, Window


class Cut(NamedTuple):
    """A sequence of tokens, cut."""

    windows: tuple[Window, ...]
    """At least one, in the order of the text."""

    unread: int
    """Tokens that no window holds."""


def cut(
    ids: Ids,
    max_content: int,
    *,
    overlap: int,
    limit: int,
    prefix: Sequence[int] = (),
    suffix: Sequence[int] = (),
    view: int = 0,
    extra: Vector | None = None,
) -> Cut:
    """Cut tokens into windows of equal length, each of which repeats the end of the one before.

    Where there are more windows than the limit, one half is read from the text's head and one
    from its tail: what hides in a long text hides at its end. A limit of one is a window of
    both ends.

    Args:
        ids: (n,) int32, without special tokens; may be empty.
        max_content: tokens in a window, special ones aside.
        overlap: tokens that neighbours share, less than `max_content`.
        limit: how many windows at most, from 1.
        prefix: special tokens before each window.
        suffix: special tokens after it.
        view: which view of the text these tokens are.
        extra: numbers beside the text, which every window carries.
    """
    if not 0 <= overlap < max_content or limit < 1:
        raise ValueError("a window must be longer than the overlap, and one may be read at least")
    if len(ids) <= max_content and not prefix and not suffix:
        return Cut((Window(ids, view, max(len(ids), 1), extra),), 0)
    before, after = np.asarray(prefix, np.int32), np.asarray(suffix, np.int32)
    windows = []
    reached = 0
    read = 0
    for pieces in _spans(len(ids), max_content, overlap, limit):
        new = sum(max(0, end - max(start, reached)) for start, end in pieces)
        reached = pieces[-1][1]
        read += new
        content = [ids[start:end] for start, end in pieces]
        # A mean over one empty window is that window.
        whole = np.concatenate([before, *content, after])
        windows.append(Window(whole, view, max(new, 1), extra))
    return Cut(tuple(windows), len(ids) - read)


Span = tuple[int, int]


def _spans(length: int, size: int, overlap: int, limit: int) -> Iterator[tuple[Span, ...]]:
    """Yield the spans of each window; more than one span where a window has both ends."""
    stride = size - overlap
    count = max(1, -(-(length - overlap) // stride))
    if count <= limit:
        # Equal windows are padded least, and the last one sees as much around it as the others.
        even = -(-(length + (count - 1) * overlap) // count)
        for index in range(count):
            start = index * (even - overlap)
            yield ((start, min(start + even, length)),)
    elif limit == 1:
        half = size // 2
        yield ((0, size - half), (length - half, length))
    else:
        tail = limit // 2
        for index in range(limit - tail):
            yield ((index * stride, index * stride + size),)
        for index in reversed(range(tail)):
            yield ((length - index * stride - size, length - index * stride),)
