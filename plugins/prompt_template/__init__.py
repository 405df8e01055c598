"""Prompt templates: calls name a template and its variables instead of writing a prompt."""

from plugins.prompt_template.config import PromptTemplateConfig
from plugins.prompt_template.plugin import PromptTemplate

__all__ = ["PromptTemplate", "PromptTemplateConfig"]
