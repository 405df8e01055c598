"""Variables of a template: which values a client may give them, and those values as text."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.api import PluginConfig


class Variable(PluginConfig):
    """A typed variable of a template."""

    type: Literal["string", "integer", "number", "boolean", "enum"] = Field(
        description="What a value must be; an `enum` is one of `values`."
    )
    description: str = Field("", description="What the variable is for.")
    default: str | int | float | bool | None = Field(
        None, description="Taken where a call gives no value; without it, a call must give one."
    )
    max_length: int | None = Field(
        None, ge=1, description="Longest value of a `string` (characters); any length if absent."
    )
    values: tuple[str, ...] = Field((), description="The values of an `enum`.")

    @model_validator(mode="after")
    def _fits_its_type(self) -> Self:
        if (self.type == "enum") != bool(self.values):
            raise ValueError("`values` are for an `enum`, which needs them")
        if self.max_length is not None and self.type != "string":
            raise ValueError("`max_length` is for a `string`")
        if self.default is not None:
            try:
                self.text_of(self.default)
            except ValueError as error:
                raise ValueError(f"the default {error}") from None
        return self

    def text_of(self, value: object) -> str:
        """Return a JSON value as the text that goes into the template.

        Raises:
            ValueError: it is not of the variable's type; the message never quotes it.
        """
        match self.type, value:
            case "boolean", bool():
                return "true" if value else "false"
            case "integer" | "number", bool():
                pass  # JSON's true is no number, though Python's is
            case ("integer", int()) | ("number", int() | float()):
                return str(value)
            case "string", str(text) if self.max_length is None or len(text) <= self.max_length:
                return text
            case "enum", str(text) if text in self.values:
                return text
        raise ValueError(f"must be {self._wanted}")

    @property
    def _wanted(self) -> str:
        if self.type == "enum":
            return f"one of: {', '.join(self.values)}"
        limit = f" of at most {self.max_length} characters" if self.max_length else ""
        return f"a JSON {self.type}{limit}"
