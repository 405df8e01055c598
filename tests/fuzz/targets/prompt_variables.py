"""Prompt variables: values are data, and a text is filled in one pass or refused with a reason."""

from __future__ import annotations

from pydantic import ValidationError

from pipeline.api import Call
from pipeline.dialects import strict_json
from pipeline.dialects.openai_chat import OpenAIChat
from plugins.prompt_decorator import variables as decoration
from plugins.prompt_template.config import PromptTemplateConfig
from plugins.prompt_template.expand import UnusableCall, expand
from plugins.prompt_template.placeholders import fill, placeholders
from tests.fuzz.reader import Choices

TOKENS = (
    b"{{", b"}}", b"{{a}}", b"{{ a }}", b"{{b}}", b"{{header:x|y}}", b"{{tenant}}",
    b"{template://t}", b"{template://", b"}", b"{{{",
    b"\xe2\x80\xa8", b"\\g<0>", b"\\1", b"%s", b"{0}",
)  # fmt: skip
_CHAT = OpenAIChat()


def check(data: bytes) -> None:
    choices = Choices(data)
    text = choices.piece().decode("utf-8", "replace")
    value = choices.piece().decode("utf-8", "replace")
    try:
        names = placeholders(text)
    except ValueError:
        names = None
    else:
        filled = fill(text, dict.fromkeys(names, value))
        assert filled.count(value) >= 1 or not names
        assert fill(text, {name: f"{{{{{name}}}}}" for name in names}).count("{{") == text.count(
            "{{"
        )
    _expanded(text, value, names)
    _decorated(text, value)


def _expanded(text: str, value: str, names: frozenset[str] | None) -> None:
    variables = {name: {"type": "string"} for name in names or ()}
    template = {"messages": [{"role": "user", "content": text}], "variables": variables}
    try:
        config = PromptTemplateConfig.model_validate({"templates": {"t": template}})
    except ValidationError:
        assert names is None or not text
        return
    assert names is not None
    document = {
        "messages": [
            {"role": "user", "content": "{template://t}"},
            {"role": "user", "content": value},
        ],
        "properties": dict.fromkeys(names, value),
    }
    try:
        expanded = expand(Call(_CHAT, document, None), config)
    except UnusableCall:
        return
    assert expanded is not None
    assert "properties" not in expanded.document
    strict_json.loads(expanded.encode())
    # What a value says is never taken for a placeholder.
    first = expanded.segments[0].text if expanded.segments else ""
    assert first in {fill(text, dict.fromkeys(names, value)), value}


def _decorated(text: str, value: str) -> None:
    try:
        decoration.checked(text)
    except ValueError:
        return
    asked: list[str] = []

    def value_of(name: str) -> str:
        asked.append(name)
        return value

    filled = decoration.fill(text, value_of, None)
    assert not {"header:authorization", "header:cookie"} & {name.lower() for name in asked}
    # Nothing stands everywhere, but only once in each place.
    assert not value or filled.count(value) >= len(asked)
    assert filled == text or asked
    twice = decoration.fill(text, lambda name: f"{{{{{name}}}}}", None)
    assert decoration.fill(twice, value_of, None) == filled
