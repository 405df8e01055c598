"""`Cache-Control` of requests, as RFC 9111 §5.2.1 words it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_MAX_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Directives:
    """What a client asks of caches.

    Args:
        no_cache: ask the provider, and keep its answer.
        no_store: neither serve nor keep.
        only_if_cached: serve from the cache or not at all.
        max_age_s: serve nothing older; None where it does not say.
        max_stale_s: serve what is stale by that at most; None where it does not say.
    """

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age_s: float | None = None
    max_stale_s: float | None = None


NOTHING = Directives()


def parse_directives(values: Iterable[str]) -> Directives:
    """Read all `Cache-Control` headers of a request; what is unknown or no number is ignored.

    Of a directive that is repeated, the strictest holds. `max-age=0` asks for a fresh answer, as
    `no-cache` does.
    """
    found: dict[str, str] = {}
    for value in values:
        for item in value.split(","):
            name, _, argument = item.strip().partition("=")
            name, argument = name.strip().lower(), argument.strip().strip('"')
            if name in found and name in {"max-age", "max-stale"}:
                argument = _lesser(found[name], argument)
            found[name] = argument
    if not found:
        return NOTHING
    max_age_s = _seconds(found.get("max-age", ""))
    return Directives(
        no_cache="no-cache" in found or max_age_s == 0,
        no_store="no-store" in found,
        only_if_cached="only-if-cached" in found,
        max_age_s=max_age_s,
        max_stale_s=_seconds(found["max-stale"]) if found.get("max-stale") else None,
    )


def _lesser(one: str, other: str) -> str:
    first, second = _seconds(one), _seconds(other)
    if first is None or second is None:
        return other if first is None else one
    return one if first <= second else other


def _seconds(argument: str) -> float | None:
    is_number = argument.isascii() and argument.isdigit() and len(argument) <= _MAX_DIGITS
    return float(argument) if is_number else None
