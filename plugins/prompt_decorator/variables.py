"""Variables in decorations: facts about the exchange, `{{tenant}}` or `{{header:x-team|none}}`."""

from __future__ import annotations

import re
from collections.abc import Callable

# What a header's name may hold is RFC 9110's `token`, less `|`, which begins the default here.
_PLACEHOLDER = re.compile(
    r"\{\{ *(tenant|route|model|header:[A-Za-z0-9!#$%&'*+.^_`~-]+) *(?:\|([^{}]*))?\}\}"
)
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"})


class MissingVariable(LookupError):
    """Raised when a variable has neither a value nor a default."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def checked(text: str) -> str:
    """Return a decoration's text as it is.

    Raises:
        ValueError: a `{{` opens no placeholder, or one names a header with a credential.
    """
    parts = _PLACEHOLDER.split(text)
    if any("{{" in literal for literal in parts[::3]):
        raise ValueError(
            "`{{` must open {{tenant}}, {{route}}, {{model}} or {{header:name}}, each perhaps with "
            "a default: {{tenant|nobody}}"
        )
    for name in parts[1::3]:
        if name.removeprefix("header:").lower() in _CREDENTIALS:
            raise ValueError(f"{name} holds a credential: it must not go into a prompt")
    return text


def fill(text: str, value_of: Callable[[str], str | None], missing: str | None) -> str:
    """Put values in the place of a text's placeholders.

    One pass: a value that looks like a placeholder stays what it is, data.

    Args:
        text: the text.
        value_of: returns a variable's value, None where it has none.
        missing: what stands for a variable that has neither a value nor a default.

    Raises:
        MissingVariable: there is such a variable, and `missing` is None.
    """

    def filled(match: re.Match[str]) -> str:
        value = value_of(match[1])
        if value is not None:
            return value
        if match[2] is not None:
            return match[2].strip()
        if missing is None:
            raise MissingVariable(match[1])
        return missing

    return _PLACEHOLDER.sub(filled, text)
