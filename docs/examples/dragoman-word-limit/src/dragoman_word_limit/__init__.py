"""A Dragoman plugin that limits the words of prompts and answers."""

from dragoman_word_limit.plugin import WordLimit, WordLimitConfig

__all__ = ["WordLimit", "WordLimitConfig"]
