"""JSON documents as values: which of two say the same."""

from __future__ import annotations

from typing import Any


def is_same(one: Any, other: Any) -> bool:
    """Say whether two JSON values are equal; to Python 1, 1.0 and true are, here they are not."""
    return one == other and _has_same_types(one, other)


def _has_same_types(one: Any, other: Any) -> bool:
    # Of equal values: what an edit left alone is shared, and costs nothing here.
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return all(_has_same_types(value, other[key]) for key, value in one.items())
    return not isinstance(one, list) or all(map(_has_same_types, one, other))
