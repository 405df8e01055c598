"""Keeping: an answer as a record, and whether two answers say the same."""

from __future__ import annotations

import random
import re

from pipeline.api import Answer, Exchange, InferenceError, Outcome, Signals
from plugins.semantic_cache.config import SemanticCacheConfig
from plugins.semantic_cache.records import Body, Meta, Record
from plugins.semantic_cache.savings import cost_usd
from plugins.semantic_cache.visit import Visit

# Two answers of a model to one question, in other words each time, are about as near as that with
# the embeddings that ship; it decides nothing but what a shadow check counts.
_LEAST_AGREEMENT = 0.85
_TAG = re.compile(r"[\w.:-]{1,64}\Z")
_MOST_TAGS = 16
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def record_of(
    exchange: Exchange,
    visit: Visit,
    answer: Answer,
    outcome: Outcome,
    config: SemanticCacheConfig,
    now_s: float,
    chance: random.Random,
) -> Record:
    """Return what is kept of an answer.

    Args:
        exchange: at its end.
        visit: what was noted of it.
        answer: whole.
        outcome: how it ended.
        config: the cache's options.
        now_s: since the epoch.
        chance: for the entry's id and the jitter of its lifetime.
    """
    body = Body(visit.keys.question, answer.dialect.name, answer.encode())
    fresh_s = now_s + config.ttl * (1 - config.ttl_jitter * chance.random())
    call = exchange.call
    return Record(
        Meta(
            id=f"{chance.getrandbits(64):016x}",
            partition=visit.keys.partition,
            exact=visit.keys.exact,
            route=exchange.route,
            tenant="" if config.scope == "shared" else exchange.tenant or "",
            model=call.model if call is not None else "",
            tags=_tags(exchange, config.tags_header),
            vector=visit.vector,
            embedder=visit.embedder,
            created_s=now_s,
            fresh_s=fresh_s,
            expires_s=fresh_s + config.stale,
            body_bytes=len(body.answer) + len(body.question.encode("utf-8", "surrogatepass")),
            saves_s=outcome.duration_s,
            saves_usd=cost_usd(answer),
        ),
        body,
    )


async def agrees(one: Answer, other: Answer, signals: Signals) -> bool | None:
    """Say whether two answers say the same; None where that cannot be told.

    They do where their tool calls are equal, their numbers are the same and their embeddings near.
    """
    calls = [(call.name, call.arguments) for call in one.tool_calls]
    if calls != [(call.name, call.arguments) for call in other.tool_calls]:
        return False
    texts = [" ".join(answer.text.split()) for answer in (one, other)]
    if texts[0] == texts[1]:
        return True
    if not all(texts):
        return False
    if set(_NUMBER.findall(texts[0])) ^ set(_NUMBER.findall(texts[1])):
        return False
    try:
        first, second = [await signals.embedding(text) for text in texts]
    except (InferenceError, LookupError, TypeError):
        return None
    return float(first @ second) >= _LEAST_AGREEMENT


def _tags(exchange: Exchange, header: str | None) -> tuple[str, ...]:
    if header is None:
        return ()
    words = (
        word.strip()
        for value in exchange.request.headers.get_all(header)
        for word in value.split(",")
    )
    return tuple(dict.fromkeys(word for word in words if _TAG.match(word)))[:_MOST_TAGS]
