"""The types of a canonical call's fields, checked once so that formats need not."""

from __future__ import annotations

from typing import Any

from pipeline.api import InvalidCall
from plugins.translate.canonical import Json

_NUMBER = (int, float)
_TYPES: dict[str, tuple[type, ...]] = {
    "messages": (list,),
    "tools": (list,),
    "tool_choice": (str, dict),
    "parallel_tool_calls": (bool,),
    "response_format": (dict,),
    "reasoning": (dict,),
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "top_k": _NUMBER,
    "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
    "seed": (int,),
    "n": (int,),
    "max_completion_tokens": (int,),
    "stop": (str, list),
    "service_tier": (str,),
    "metadata": (dict,),
    "user": (str,),
    "safety_identifier": (str,),
}


def check_types(document: Json) -> None:
    """Refuse a call in which a field has a type that no provider could read.

    Raises:
        InvalidCall: `invalid_value`: names the field.
    """
    for name, types in _TYPES.items():
        value: Any = document.get(name)
        if value is None:
            continue
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise InvalidCall(f"{name} has the wrong type", code="invalid_value", param=name)
