"""Decorating a call's segments: replace what a role says, then prepend and append messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from pipeline.api import Segment
from plugins.prompt_decorator.config import Decoration, PromptDecoratorConfig, Replacement

Fill = Callable[[str], str]


def decorated(
    segments: Sequence[Segment], config: PromptDecoratorConfig, fill: Fill
) -> list[Segment]:
    """Return the segments as the config wants them; those that are no prose are left alone.

    Args:
        segments: the call's.
        config: what to do.
        fill: puts values in the place of a content's variables.
    """
    result = list(segments)
    for rule in config.replace:
        text = fill(rule.content)
        result = _found(result, rule, text) if rule.find else _replaced(result, rule, text)
    return [*_added(config.prepend, fill), *result, *_added(config.append, fill)]


def _added(decorations: Iterable[Decoration], fill: Fill) -> list[Segment]:
    made = [Segment(one.role, fill(one.content)) for one in decorations]
    # Some APIs refuse a message without text.
    return [segment for segment in made if segment.text]


def _found(segments: Sequence[Segment], rule: Replacement, text: str) -> list[Segment]:
    return [
        replace(segment, text=segment.text.replace(rule.find or "", text))
        if segment.text is not None and _speaks(segment, rule.role)
        else segment
        for segment in segments
    ]


def _replaced(segments: Sequence[Segment], rule: Replacement, text: str) -> list[Segment]:
    """Let a role say one text, where it first spoke, and nothing else."""
    result: list[Segment] = []
    has_spoken = False
    for segment in segments:
        if not _speaks(segment, rule.role):
            result.append(segment)
        elif text and not has_spoken:
            result.append(replace(segment, text=text))
            has_spoken = True
    if has_spoken or not text or not rule.insert:
        return result
    new = Segment(rule.role, text)
    return [new, *result] if _voice(rule.role) == "system" else [*result, new]


def _speaks(segment: Segment, role: str) -> bool:
    return segment.kind == "text" and _voice(segment.role) == _voice(role)


def _voice(role: str) -> str:
    # OpenAI's newer name for the same thing: a rule for one must not be evaded through the other.
    return "system" if role == "developer" else role
