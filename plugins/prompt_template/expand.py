"""Expanding a call: references to templates become the templates' messages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.api import Call, Segment
from plugins.prompt_template.config import PromptTemplateConfig, Template
from plugins.prompt_template.placeholders import fill
from plugins.prompt_template.variables import Variable

_REFERENCE = re.compile(r"\s*\{template://([^{}]*)\}\s*")
_ALWAYS_ALLOWED = frozenset({"model", "stream", "properties"})


class UnusableCall(ValueError):
    """Raised when a call cannot be expanded.

    Args:
        message: what is wrong; names from the config only, never the client's text.
        code: stable and machine-readable.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


def expand(call: Call, config: PromptTemplateConfig) -> Call | None:
    """Return the call with its templates' messages, or None when it refers to none.

    Raises:
        UnusableCall: it is no legal use of the templates.
    """
    references = [_reference(segment) for segment in call.segments]
    if config.only_templates:
        _require_nothing_else(call, references, config.allowed_params)
    used = _named({name for name in references if name is not None}, config.templates)
    if not used:
        return None
    values = _values(used, call.document.get("properties", {}))
    segments: list[Segment] = []
    for segment, name in zip(call.segments, references, strict=True):
        if name is None:
            segments.append(segment)
        else:
            # With `only_templates` nothing of the client's message may stay, a `name` neither.
            place = None if config.only_templates else segment
            segments += _messages(used[name], values[name], place)
    return _with_settings(call, segments, used.values())


def _reference(segment: Segment) -> str | None:
    """Return the name in a text that is nothing but a reference: others are data, as written."""
    if segment.role != "user" or segment.kind != "text" or segment.text is None:
        return None
    match = _REFERENCE.fullmatch(segment.text)
    return match[1] if match else None


def _named(names: set[str], templates: Mapping[str, Template]) -> dict[str, Template]:
    if not names <= templates.keys():
        known = ", ".join(templates)
        message = f"there is no template of that name; there are: {known}"
        raise UnusableCall(message, code="unknown_template")
    return {name: template for name, template in templates.items() if name in names}


def _values(used: Mapping[str, Template], properties: Any) -> dict[str, dict[str, str]]:
    """Return the values of each template's variables: templates may type one name differently."""
    if not isinstance(properties, dict):
        raise UnusableCall("'properties' must be an object", code="invalid_properties")
    declared = {name for template in used.values() for name in template.variables}
    if not properties.keys() <= declared:
        known = ", ".join(sorted(declared)) or "no variables"
        message = f"'properties' has a name that the template does not; it has: {known}"
        raise UnusableCall(message, code="unknown_variable")
    return {
        name: {key: _value(key, var, properties) for key, var in template.variables.items()}
        for name, template in used.items()
    }


def _value(name: str, variable: Variable, properties: Mapping[str, Any]) -> str:
    if name not in properties and variable.default is None:
        message = f"the variable {name!r} is missing in 'properties'"
        raise UnusableCall(message, code="missing_variable")
    try:
        return variable.text_of(properties.get(name, variable.default))
    except ValueError as error:
        message = f"the variable {name!r} {error}"
        raise UnusableCall(message, code="invalid_variable") from None


def _messages(
    template: Template, values: Mapping[str, str], place: Segment | None
) -> list[Segment]:
    """Return a template's messages as segments.

    Args:
        template: the template.
        values: of its variables.
        place: the segment that the last user message takes the place of, so that an image beside
            the reference stays beside it; None to make every message anew.
    """
    made = [Segment(m.role, fill(m.content, values)) for m in template.messages]
    users = [index for index, segment in enumerate(made) if segment.role == "user"]
    if place is not None and users:
        made[users[-1]] = replace(place, text=made[users[-1]].text)
    return made


def _with_settings(call: Call, segments: Sequence[Segment], used: Iterable[Template]) -> Call:
    params: dict[str, Any] = {}
    model = call.model
    for template in used:
        params |= template.params
        model = template.model or model
    try:
        expanded = call.replace(segments=segments, set_params=params, remove_params=("properties",))
    except ValueError:
        message = "the template has messages that this API cannot carry"
        raise UnusableCall(message, code="unsupported_template") from None
    return expanded if model == call.model else expanded.replace(model=model)


def _require_nothing_else(
    call: Call, references: Sequence[str | None], allowed_params: frozenset[str]
) -> None:
    # What is left without the references: a system prompt, tools, blocks that no dialect knows.
    left = call.replace(segments=()).document
    filled = {key for key, value in left.items() if value not in (None, "", [])}
    if not references or None in references or filled - allowed_params - _ALWAYS_ALLOWED:
        message = "this route takes templates and settings only: {template://name}"
        raise UnusableCall(message, code="template_required")
