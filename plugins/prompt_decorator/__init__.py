"""Prompt decorations: messages that a route puts before, behind and in place of the client's."""

from plugins.prompt_decorator.config import PromptDecoratorConfig
from plugins.prompt_decorator.plugin import PromptDecorator

__all__ = ["PromptDecorator", "PromptDecoratorConfig"]
