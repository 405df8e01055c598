"""Reading documents by type: leniently to find what is there, strictly to check a call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.api.text import Place
from pipeline.dialects.strict_json import loads_event
from pipeline.errors import InvalidCall

_NAMES = {str: "a string", list: "an array", dict: "an object", bool: "a boolean"}


class Reader:
    """Reads fields of JSON documents.

    Args:
        strict: refuse the call when a field is of the wrong type or missing; else such a field
            counts as absent.
    """

    __slots__ = ("_strict",)

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict

    def field(
        self, holder: dict[str, Any], at: Place, key: str, *types: type, required: bool = False
    ) -> Any:
        """Return a field of one of the types given, or None; null is as good as absent.

        Raises:
            InvalidCall: `invalid_type` or `missing_field`, when strict.
        """
        value = holder.get(key)
        if isinstance(value, types):
            return value
        if self._strict and (value is not None or required):
            if key in holder:
                raise _invalid_type((*at, key), types)
            raise missing_field((*at, key))
        return None

    def objects(self, values: Sequence[Any], at: Place) -> Iterator[tuple[Place, dict[str, Any]]]:
        """Yield the objects of a list, each with its place.

        Raises:
            InvalidCall: `invalid_type` for an item that is no object, when strict.
        """
        for index, value in enumerate(values):
            if isinstance(value, dict):
                yield (*at, index), value
            elif self._strict:
                raise _invalid_type((*at, index), (dict,))


LENIENT = Reader(strict=False)
STRICT = Reader(strict=True)


def type_of(value: Any) -> str:
    """Return the `type` that an object states, else an empty string."""
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else ""


def event_type(name: str, data: dict[str, Any] | None) -> str:
    """Return an event's type; the JSON says it, the SSE name repeats it."""
    return type_of(data) or name


def event_data(data: str | None) -> dict[str, Any] | None:
    """Parse the data of a streamed event; None when it is no JSON object that can be read."""
    return loads_event(data) if data else None


def missing_field(place: Place) -> InvalidCall:
    """Return the error for a field that a call must have."""
    param = dotted(place)
    return InvalidCall(f"{param} is missing", code="missing_field", param=param)


def dotted(place: Place) -> str:
    """Write a place as people do: `messages[0].content`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return "".join(steps).removeprefix(".")


def _invalid_type(place: Place, types: Sequence[type]) -> InvalidCall:
    param = dotted(place)
    wanted = " or ".join(_NAMES[kind] for kind in types)
    return InvalidCall(f"{param} must be {wanted}", code="invalid_type", param=param)
