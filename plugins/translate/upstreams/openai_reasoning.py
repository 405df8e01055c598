"""What a call asks of the model's reasoning, in each of the ways that OpenAI's copies have."""

from __future__ import annotations

from typing import Any

from pipeline.api.catalog import Effort, ModelEntry
from plugins.translate.canonical import Json, Loss
from plugins.translate.reasoning import budget_for, effort_for, nearest
from plugins.translate.upstreams.quirks import Quirks

_DEFAULT_OUTPUT_TOKENS = 32_000  # of a model that nobody knows, to turn budgets into levels


def reasoning_fields(
    asked: Json, limit: Any, loss: Loss, quirks: Quirks, model: ModelEntry | None
) -> Json:
    """Return the fields that ask a server for reasoning.

    Args:
        asked: canonical `reasoning`.
        limit: the answer's limit in tokens, None where the call states none.
        loss: takes what cannot be carried.
        quirks: the server's.
        model: what is known of the model.
    """
    effort, budget = asked.get("effort"), asked.get("budget_tokens")
    if effort is None and budget is None:
        return {}
    most = limit or (model.max_output_tokens if model else 0) or _DEFAULT_OUTPUT_TOKENS
    level: Effort = effort or effort_for(int(budget or 0), most)
    known = model.reasoning if model else None
    if quirks.reasoning == "none" or (model and not known):
        if level != "none":
            loss.add("reasoning")
        return {}
    taken = quirks.efforts or (known.efforts if known else ())
    match quirks.reasoning:
        case "object":
            return {"reasoning": {"effort": effort} if effort else {"max_tokens": budget}}
        case "enable_thinking":
            is_on = level != "none"
            limited = {"thinking_budget": budget or budget_for(level, most)} if is_on else {}
            return {"enable_thinking": is_on, **limited}
        case "thinking":
            return _switched(level, taken, loss)
    if not taken and model:
        loss.add("reasoning")
        return {}
    return {"reasoning_effort": _taken(level, taken, loss)}


def _switched(level: Effort, taken: Any, loss: Loss) -> Json:
    if level == "none":
        return {"thinking": {"type": "disabled"}}
    effort = {"reasoning_effort": _taken(level, taken, loss)} if taken else {}
    return {"thinking": {"type": "enabled"}, **effort}


def _taken(level: Effort, taken: Any, loss: Loss) -> str:
    if not taken or level in taken:
        return level
    loss.add("reasoning.effort")
    return nearest(level, tuple(taken))
