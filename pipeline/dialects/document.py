"""JSON documents as values: read by place, rewrite by copying only the way to the change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.api.text import Place

_GONE: Any = object()


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

    No place may stand inside another.

    Raises:
        KeyError, IndexError, TypeError: a place does not exist.
    """
    return _edited(document, changes) if changes else document


def without(document: Any, places: Iterable[Place]) -> Any:
    """Return a document without the values at some places; list items behind one move up.

    Raises:
        KeyError, IndexError, TypeError: a place does not exist.
    """
    return with_values(document, dict.fromkeys(places, _GONE))


def _edited(document: Any, changes: Mapping[Place, Any]) -> Any:
    # All changes at once: a container is copied once, however many of its values change, so that
    # a body with a hundred thousand parts costs linear time.
    if () in changes:
        return changes[()]
    by_step: dict[str | int, dict[Place, Any]] = {}
    for place, value in changes.items():
        by_step.setdefault(place[0], {})[place[1:]] = value
    edited = {step: _edited(document[step], inner) for step, inner in by_step.items()}
    if isinstance(document, list):
        items = [edited.get(index, item) for index, item in enumerate(document)]
        return [item for item in items if item is not _GONE]
    merged = {**document, **edited}
    return {key: value for key, value in merged.items() if value is not _GONE}
