"""Reasoning as the models behind Converse take it: each vendor in fields of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from pipeline.api import ModelEntry
from pipeline.api.catalog import Effort
from plugins.translate.canonical import Json, Loss
from plugins.translate.reasoning import effort_for, nearest
from plugins.translate.upstreams.anthropic_reasoning import thinking_for, without_thinking
from plugins.translate.upstreams.bedrock_models import Vendor

_LEVELS: tuple[Effort, ...] = ("low", "medium", "high")
_EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
_OFF: Json = {"type": "disabled"}


@dataclass(slots=True)
class Thoughts:
    """How a model shall think.

    Args:
        extra: fields of the model's own request.
        effort: Converse's `outputConfig.effort`, empty where it says nothing.
        thinks: whether Claude thinks, which limits sampling and forced tools.
        bare: whether sampling and the answer's limit must be left out.
    """

    extra: Json = field(default_factory=dict)
    effort: str = ""
    thinks: bool = False
    bare: bool = False

    @property
    def has_budget(self) -> bool:
        """Whether Claude thinks with a budget, which is part of the answer's limit."""
        return "budget_tokens" in (self.extra.get("thinking") or ())


def thoughts_for(
    asked: Any, vendor: Vendor, entry: ModelEntry | None, max_tokens: int, loss: Loss
) -> Thoughts:
    """Return how a model shall think for the canonical `reasoning`."""
    if not isinstance(asked, dict) or not asked:
        return Thoughts()
    if vendor.is_claude:
        return _claude(asked, entry, max_tokens, loss)
    effort = _effort(asked, max_tokens)
    make = _MAKERS.get(vendor.name)
    thoughts = make(effort, entry, loss) if effort and make else None
    if thoughts is None and effort not in (None, "none"):
        loss.add("reasoning")
    return thoughts or Thoughts()


def can_be_forced(thoughts: Thoughts, entry: ModelEntry | None, loss: Loss) -> bool:
    """Say whether a tool call can be forced; thinking stops for it where it can."""
    can_stop, quiet = without_thinking(thoughts.extra.get("thinking"), entry)
    if can_stop:
        if thoughts.thinks:
            loss.add("reasoning")
        thoughts.thinks, thoughts.extra = False, {"thinking": quiet} if quiet else {}
    return can_stop


def _claude(asked: Json, entry: ModelEntry | None, max_tokens: int, loss: Loss) -> Thoughts:
    thinking, effort = thinking_for(asked, entry, max_tokens, loss)
    return Thoughts(
        {"thinking": thinking} if thinking else {},
        effort or "",
        thinks=thinking is not None and thinking["type"] != "disabled",
    )


def _effort(asked: Json, max_tokens: int) -> Effort | None:
    effort, budget = asked.get("effort"), asked.get("budget_tokens")
    if effort in _EFFORTS:
        return cast("Effort", effort)
    return effort_for(budget, max_tokens) if isinstance(budget, int) else None


def _gpt(effort: Effort, entry: ModelEntry | None, loss: Loss) -> Thoughts:
    level = nearest(effort, _levels(entry))
    if effort == "none" != level:
        loss.add("reasoning.effort")
    return Thoughts({"reasoning_effort": level})


def _deepseek(effort: Effort, entry: ModelEntry | None, _: Loss) -> Thoughts | None:
    # It does not think unless told to.
    if effort == "none":
        return None
    return Thoughts({"reasoning_effort": nearest(effort, _levels(entry))})


def _nova(effort: Effort, entry: ModelEntry | None, _: Loss) -> Thoughts | None:
    if entry is not None and entry.reasoning is None:
        return None
    if effort == "none":
        return Thoughts({"reasoningConfig": _OFF})
    level = nearest(effort, _LEVELS)
    # Nova refuses temperature, top_p and a limit beside its highest level.
    config = {"type": "enabled", "maxReasoningEffort": level}
    return Thoughts({"reasoningConfig": config}, bare=level == "high")


def _levels(entry: ModelEntry | None) -> tuple[Effort, ...]:
    return (entry.reasoning.efforts if entry and entry.reasoning else ()) or _LEVELS


_MAKERS = {"openai": _gpt, "deepseek": _deepseek, "amazon": _nova}
