"""Reasoning as Gemini takes it: a level, or a budget in tokens."""

from __future__ import annotations

from typing import Any

from pipeline.api import ModelEntry
from pipeline.api.catalog import Effort, Reasoning
from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.reasoning import effort_for, nearest

_LEVELS: tuple[Effort, ...] = ("minimal", "low", "medium", "high", "xhigh")
# A model that the catalog does not know is newer than it; the levels that all of them take.
_UNKNOWN = Reasoning(efforts=("low", "medium", "high"), budget=True, always=True)
# Google's own table for `reasoning_effort` (https://ai.google.dev/gemini-api/docs/openai#thinking).
_BUDGETS: dict[Effort, int] = {"minimal": 1024, "low": 1024, "medium": 8192}
_MOST_TOKENS = 24_576
"""The largest budget that every model with one takes."""

_DEFAULT_LIMIT_TOKENS = 65_536


def is_signed(entry: ModelEntry | None) -> bool:
    """Say whether a model is of the generation that thinks by levels and signs its calls."""
    if entry is None:
        return True
    return entry.reasoning is not None and bool(_levels(entry.reasoning))


def thinking_config(asked: Any, entry: ModelEntry | None, limit: Any, loss: Loss) -> Json | None:
    """Return `thinkingConfig`, None where it is better left out.

    Args:
        asked: the canonical `reasoning`.
        entry: what is known of the model.
        limit: the answer's limit in tokens, where the client gave one.
        loss: takes what the model cannot do.
    """
    if not isinstance(asked, dict):
        return None
    fields = Fields(asked, loss, "reasoning")
    effort, budget = fields.take("effort"), fields.take("budget_tokens")
    fields.ignore("summary")  # thoughts are always asked for, as the summaries that they are
    fields.finish()
    if effort not in (None, "none", "max", *_LEVELS):
        fields.lose("effort")
        effort = None
    ability = _UNKNOWN if entry is None else entry.reasoning
    is_off = effort == "none" or budget == 0
    if ability is None:
        if not is_off:
            loss.add("reasoning")
        return None
    if is_off:
        return _switched_off(ability, loss)
    if isinstance(budget, int) and ability.budget and (effort is None or not _levels(ability)):
        return _shown({"thinkingBudget": _bounded(budget, loss)})
    if effort is None and isinstance(budget, int):
        most = limit if isinstance(limit, int) else _limit(entry)
        effort = effort_for(budget, most)
    if effort is None:
        return _shown({})
    if levels := _levels(ability):
        return _shown({"thinkingLevel": nearest(effort, levels).upper()})
    return _shown({"thinkingBudget": _BUDGETS.get(effort, _MOST_TOKENS)})


def _levels(ability: Reasoning) -> tuple[Effort, ...]:
    return tuple(level for level in ability.efforts if level in _LEVELS)


def _limit(entry: ModelEntry | None) -> int:
    return (entry.max_output_tokens if entry else 0) or _DEFAULT_LIMIT_TOKENS


def _switched_off(ability: Reasoning, loss: Loss) -> Json | None:
    if ability.budget and not ability.always:
        return {"thinkingBudget": 0}
    levels = _levels(ability)
    loss.add("reasoning.effort")
    return {"thinkingLevel": levels[0].upper()} if levels else None


def _bounded(budget: int, loss: Loss) -> int:
    if budget > _MOST_TOKENS:
        loss.add("reasoning.budget_tokens")
    return min(budget, _MOST_TOKENS)


def _shown(config: Json) -> Json:
    return {**config, "includeThoughts": True}
