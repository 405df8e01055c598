"""Savings: what an answer cost, and what is saved by serving it again."""

from __future__ import annotations

from pipeline.api import Answer, find_model
from plugins.semantic_cache import metrics

_MILLION = 1_000_000


def cost_usd(answer: Answer) -> float:
    """Return what an answer cost by the catalog's list prices; 0 where they are unknown."""
    model = find_model(answer.model) if answer.model else None
    if model is None:
        return 0.0
    usage, price = answer.usage, model.price
    cost = (usage.input_tokens or 0) * (price.input or 0.0)
    cost += (usage.output_tokens or 0) * (price.output or 0.0)
    return max(0.0, cost / _MILLION)


def count_saved(instance: str, answer: Answer, seconds: float, dollars: float) -> None:
    """Count what a hit saved.

    Args:
        instance: the plugin instance's name.
        answer: that was served.
        seconds: that its provider took.
        dollars: that it cost.
    """
    usage = answer.usage
    for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
        if tokens and tokens > 0:
            metrics.SAVED_TOKENS.labels(instance, kind).inc(tokens)
    if seconds > 0:
        metrics.SAVED_SECONDS.labels(instance).inc(seconds)
    if dollars > 0:
        metrics.SAVED_DOLLARS.labels(instance).inc(dollars)
