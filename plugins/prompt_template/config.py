"""The options of `prompt_template`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.api import PluginConfig
from plugins.prompt_template.placeholders import placeholders
from plugins.prompt_template.variables import Variable

TemplateName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]

_CONTENT = frozenset(
    {"input", "instructions", "messages", "model", "prompt", "properties", "stream", "system"}
)
"""Fields that are not a template's to set as parameters."""

_SETTINGS = (
    "dimensions",
    "encoding_format",
    "frequency_penalty",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "metadata",
    "n",
    "presence_penalty",
    "reasoning_effort",
    "seed",
    "service_tier",
    "stop",
    "stop_sequences",
    "store",
    "stream_options",
    "temperature",
    "top_k",
    "top_p",
    "user",
)


class Message(PluginConfig):
    """A message of a template."""

    role: Literal["system", "developer", "user", "assistant"] = Field(description="Who speaks.")
    content: str = Field(min_length=1, description="The text, with `{{variable}}` placeholders.")


class Template(PluginConfig):
    """A template."""

    messages: tuple[Message, ...] = Field(
        min_length=1, description="What stands in the place of a reference to the template."
    )
    variables: dict[str, Variable] = Field(
        default_factory=dict, description="Every variable that the messages have placeholders for."
    )
    model: str | None = Field(None, description="Model to ask for instead of the client's.")
    params: dict[str, Any] = Field(
        default_factory=dict, description="Top-level fields to set in the call: `temperature`, …"
    )

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        used = frozenset().union(*(placeholders(message.content) for message in self.messages))
        if undeclared := sorted(used - self.variables.keys()):
            raise ValueError(f"placeholders without a variable: {', '.join(undeclared)}")
        if unused := sorted(self.variables.keys() - used):
            raise ValueError(f"variables without a placeholder: {', '.join(unused)}")
        if content := sorted(_CONTENT & self.params.keys()):
            raise ValueError(f"`params` cannot set {', '.join(content)}")
        return self


class PromptTemplateConfig(PluginConfig):
    """The options of `prompt_template`."""

    templates: dict[TemplateName, Template] = Field(
        min_length=1, description="Templates by the name that `{template://name}` refers to."
    )
    only_templates: bool = Field(
        default=False,
        description="Refuse every call that says anything to the model except through a template.",
    )
    allowed_params: frozenset[str] = Field(
        default=frozenset(_SETTINGS),
        description="Top-level fields that a call may have beside its templates when "
        "`only_templates` is set; by default settings that cannot carry a prompt.",
    )
