"""JSON documents as values: read by place, rewrite by copying only the way to the change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.api.text import Place


def value_at(document: Any, place: Place) -> Any:
    """Return what stands at a place.

    Raises:
        KeyError, IndexError, TypeError: there is no such place.
    """
    for step in place:
        document = document[step]
    return document


def with_values(document: Any, changes: Mapping[Place, Any]) -> Any:
    """Return a document with new values at some places; untouched branches are shared.

    Raises:
        KeyError, IndexError, TypeError: a place does not exist.
    """
    for place, value in changes.items():
        document = _with_value(document, place, value)
    return document


def without(document: Any, places: Iterable[Place]) -> Any:
    """Return a document without the values at some places; list items behind one move up."""
    # From the back, so that an index still means what it meant when the places were found.
    for place in sorted(places, key=_order, reverse=True):
        parent = place[:-1]
        branch = value_at(document, parent)
        if isinstance(branch, list):
            kept: Any = [v for i, v in enumerate(branch) if i != place[-1]]
        else:
            kept = {k: v for k, v in branch.items() if k != place[-1]}
        document = _with_value(document, parent, kept)
    return document


def _with_value(document: Any, place: Place, value: Any) -> Any:
    if not place:
        return value
    step, rest = place[0], place[1:]
    branch = document[step]
    copy: Any = list(document) if isinstance(document, list) else dict(document)
    copy[step] = _with_value(branch, rest, value)
    return copy


def _order(place: Place) -> tuple[tuple[int, int | str], ...]:
    return tuple((0, step) if isinstance(step, int) else (1, step) for step in place)
