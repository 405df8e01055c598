"""Reasoning: one surface for effort levels, token budgets and adaptive thinking.

Where one is asked for and a model takes the other, shares of the answer's limit translate them:
those that OpenRouter documents (https://openrouter.ai/docs/use-cases/reasoning-tokens): minimal
10 %, low 20 %, medium 50 %, high 80 %, xhigh 95 %.
"""

from __future__ import annotations

from pipeline.api.catalog import Effort

MIN_BUDGET_TOKENS = 1024
"""The least that Anthropic takes (https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking)."""

_SHARES: dict[Effort, float] = {
    "minimal": 0.1,
    "low": 0.2,
    "medium": 0.5,
    "high": 0.8,
    "xhigh": 0.95,
    "max": 0.95,
}
_ORDER: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


def budget_for(effort: Effort, max_output_tokens: int) -> int:
    """Return the budget in tokens that an effort means for an answer of at most so many tokens.

    It leaves room for the answer: a budget is always less than the limit. 0 for `none`.
    """
    if effort == "none":
        return 0
    budget = max(MIN_BUDGET_TOKENS, int(max_output_tokens * _SHARES[effort]))
    return min(budget, max_output_tokens - 1)


def effort_for(budget_tokens: int, max_output_tokens: int) -> Effort:
    """Return the effort whose share is nearest to a budget; `none` for 0."""
    if budget_tokens <= 0:
        return "none"
    share = budget_tokens / max(max_output_tokens, 1)
    named: list[Effort] = ["minimal", "low", "medium", "high", "xhigh"]
    return min(named, key=lambda effort: abs(_SHARES[effort] - share))


def nearest(effort: Effort, taken: tuple[Effort, ...]) -> Effort:
    """Return the level that a model takes and that is nearest to the one asked for.

    Args:
        effort: what was asked for.
        taken: what the model takes, at least one.
    """
    asked = _ORDER.index(effort)
    return min(taken, key=lambda one: (abs(_ORDER.index(one) - asked), _ORDER.index(one)))
