"""Placeholders: `{{name}}` in the text of a template, filled in one pass."""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLACEHOLDER = re.compile(r"\{\{ *([A-Za-z_][A-Za-z0-9_]*) *\}\}")


def placeholders(text: str) -> frozenset[str]:
    """Return the names that a text has placeholders for.

    Raises:
        ValueError: a `{{` opens no placeholder.
    """
    literals_and_names = _PLACEHOLDER.split(text)
    if any("{{" in literal for literal in literals_and_names[::2]):
        raise ValueError("`{{` must open a placeholder of the form {{name}}")
    return frozenset(literals_and_names[1::2])


def fill(text: str, values: Mapping[str, str]) -> str:
    """Put values in the place of a text's placeholders.

    One pass: a value that looks like a placeholder stays what it is, data.
    """
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)
