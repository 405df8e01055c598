"""Reasoning as Claude models take it: a budget, or adaptive with an effort."""

from __future__ import annotations

from typing import Any

from pipeline.api import ModelEntry
from pipeline.api.catalog import Effort, Reasoning
from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.reasoning import MIN_BUDGET_TOKENS, budget_for, effort_for, nearest

_OFF: Json = {"type": "disabled"}
_EFFORTS: tuple[Effort, ...] = ("low", "medium", "high", "xhigh", "max")
# A model that the catalog does not know is newer than it: it decides itself how much to think.
_UNKNOWN = Reasoning(efforts=_EFFORTS, budget=True, adaptive=True)


def thinking_for(
    asked: Any, entry: ModelEntry | None, max_tokens: int, loss: Loss
) -> tuple[Json | None, Effort | None]:
    """Return `thinking` and `output_config.effort`, None for what is better left out.

    Args:
        asked: the canonical `reasoning`.
        entry: what is known of the model.
        max_tokens: the answer's limit, thinking included.
        loss: takes what the model cannot do.
    """
    if not isinstance(asked, dict):
        return None, None
    effort, budget, summary = _asked(Fields(asked, loss, "reasoning"))
    ability = _UNKNOWN if entry is None else entry.reasoning
    is_off = effort == "none" or budget == 0
    if ability is None:
        if not is_off:
            loss.add("reasoning")
        return None, None
    if is_off:
        return _switched_off(ability, entry, loss), None
    if isinstance(budget, int) and ability.budget:
        return _with_budget(min(budget, max_tokens - 1), summary, loss), _level(effort, ability)
    if isinstance(budget, int) and effort is None:
        effort = effort_for(budget, max_tokens)
    return _with_effort(effort, ability, max_tokens, summary, loss)


def without_thinking(thinking: Json | None, entry: ModelEntry | None) -> tuple[bool, Json | None]:
    """Say whether a model can be kept from thinking, and give the `thinking` that does it.

    A forced tool call cannot be had together with thinking.
    """
    ability = entry.reasoning if entry else None
    if ability is None:
        return True, None
    if ability.always:
        return False, thinking
    return True, _OFF if ability.unasked else None


def _asked(fields: Fields) -> tuple[Effort | None, Any, Any]:
    effort = fields.take("effort")
    if effort not in (None, "none", "minimal", *_EFFORTS):
        fields.lose("effort")
        effort = None
    budget, summary = fields.take("budget_tokens"), fields.take("summary")
    fields.finish()
    return effort, budget, summary


def _switched_off(ability: Reasoning, entry: ModelEntry | None, loss: Loss) -> Json | None:
    if ability.always:
        loss.add("reasoning.effort")
        return None
    # Only models that think unasked need to be told, and some refuse to be; nobody knows which
    # an unknown one is.
    return _OFF if ability.unasked and entry is not None else None


def _with_effort(
    effort: Effort | None, ability: Reasoning, max_tokens: int, summary: Any, loss: Loss
) -> tuple[Json | None, Effort | None]:
    if effort is None:
        return None, None
    if ability.adaptive:
        return _shown({"type": "adaptive"}, summary), _level(effort, ability)
    if ability.budget:
        return _with_budget(budget_for(effort, max_tokens), summary, loss), None
    return None, _level(effort, ability)


def _with_budget(budget: int, summary: Any, loss: Loss) -> Json | None:
    if budget < MIN_BUDGET_TOKENS:
        loss.add("reasoning")
        return None
    return _shown({"type": "enabled", "budget_tokens": budget}, summary)


def _shown(thinking: Json, summary: Any) -> Json:
    """Ask for a summary where the client does; the models differ in what they show unasked."""
    if summary in ("auto", "concise", "detailed"):
        thinking["display"] = "summarized"
    return thinking


def _level(effort: Effort | None, ability: Reasoning) -> Effort | None:
    taken = tuple(level for level in ability.efforts if level in _EFFORTS)
    return nearest(effort, taken) if effort and taken else None
