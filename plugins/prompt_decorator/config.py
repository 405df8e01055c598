"""The options of `prompt_decorator`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.api import PluginConfig
from plugins.prompt_decorator.variables import checked

Content = Annotated[str, AfterValidator(checked)]


class Decoration(PluginConfig):
    """A message that is added."""

    role: Literal["system", "developer", "user", "assistant"] = Field(description="Who speaks.")
    content: Content = Field(
        description="The text; `{{tenant}}`, `{{route}}`, `{{model}}` and `{{header:name}}` stand "
        "for what they name, `{{header:name|default}}` gives a default."
    )


class Replacement(Decoration):
    """What messages of a role are made to say; `system` and `developer` count as one role."""

    find: str | None = Field(
        None,
        min_length=1,
        description="Replace this text wherever it stands in messages of the role; if absent, all "
        "that they say is replaced.",
    )
    insert: bool = Field(
        default=True,
        description="Add the message where the call has none of the role; not with `find`.",
    )


class PromptDecoratorConfig(PluginConfig):
    """The options of `prompt_decorator`."""

    replace: tuple[Replacement, ...] = Field(
        (), description="What messages of a role are made to say; done first, in this order."
    )
    prepend: tuple[Decoration, ...] = Field(
        (), description="Messages that go before all others, in this order."
    )
    append: tuple[Decoration, ...] = Field(
        (), description="Messages that go behind all others, in this order."
    )
    on_missing: Literal["empty", "refuse"] = Field(
        "empty",
        description="What a variable is that has neither a value nor a default: `empty` text, or "
        "a reason to `refuse` the call.",
    )

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.replace or self.prepend or self.append):
            raise ValueError("give at least one of `replace`, `prepend` and `append`")
        return self
