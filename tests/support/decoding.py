"""Streams of bytes, cut anywhere, as an upstream format's decoder reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from plugins.translate.canonical import CanonicalCall, Json
from plugins.translate.formats import Fault, Upstream
from plugins.translate.translation import SseCut


def pieces(raw: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """Cut a stream at places that any integers name."""
    places = [0, *sorted(place % len(raw) for place in cuts), len(raw)]
    return (raw[start:end] for start, end in pairwise(places))


def decoded(upstream: Upstream, call: CanonicalCall, stream: Iterable[bytes]) -> list[Json]:
    """Return the canonical chunks of a stream, and what its end says unless it was broken."""
    cut, decoder = SseCut(), upstream.decoder(call)
    found: list[Any] = []
    for piece in stream:
        for name, data in cut.feed(piece):
            found += decoder.event(name, data)
    is_broken = bool(found) and isinstance(found[-1], Fault)
    return found if is_broken else [*found, *decoder.end()]
