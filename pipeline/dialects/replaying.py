"""Stored answers as fresh ones: another id and time, and an input that came from a cache."""

from __future__ import annotations

from typing import Any

from pipeline.dialects.reading import LENIENT

Json = dict[str, Any]


def with_prefix(prefix: str, id_: str) -> str:
    """Return an id as the API writes it."""
    return id_ if id_.startswith(prefix) else prefix + id_


def with_cached_input(usage: Json, tokens: str) -> Json:
    """Return a usage of OpenAI's whose whole input was cached.

    Args:
        usage: the answer's.
        tokens: name of the field that counts the input.
    """
    count = LENIENT.field(usage, (), tokens, int)
    if count is None:
        return usage
    details = LENIENT.field(usage, (), f"{tokens}_details", dict) or {}
    return {**usage, f"{tokens}_details": {**details, "cached_tokens": count}}


def with_cache_read(usage: Json) -> Json:
    """Return a usage of Anthropic's whose whole input was read from a cache.

    Its counts of input have nothing in common: what was read, what was written, and the rest.
    """
    fields = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    counts = [LENIENT.field(usage, (), field, int) for field in fields]
    if counts[0] is None:
        return usage
    moved = {field: 0 for field in fields[:2] if field in usage}
    moved[fields[2]] = sum(count or 0 for count in counts)
    written = LENIENT.field(usage, (), "cache_creation", dict)
    if written is not None:  # the same once more, by how long it is kept
        return {**usage, **moved, "cache_creation": dict.fromkeys(written, 0)}
    return {**usage, **moved}
