"""Serving: a stored answer as a reply to another call, and what its headers say."""

from __future__ import annotations

import orjson

from pipeline.api import Answer, Dialect, Exchange, HeaderEdits, Reply
from plugins.semantic_cache.lookup import Found
from plugins.semantic_cache.records import Body

CACHE = "x-dragoman-cache"
SIMILARITY = "x-dragoman-similarity"
ENTRY = "x-dragoman-entry"
AGE = "age"


def stored_answer(body: Body, dialect: Dialect) -> Answer | None:
    """Return the answer of a body; None where it is no JSON object of the dialect's."""
    if body.dialect != dialect.name:
        return None
    try:
        document = orjson.loads(body.answer)
    except orjson.JSONDecodeError:
        return None
    return Answer(dialect, document) if isinstance(document, dict) else None


def reply(
    exchange: Exchange, found: Found, answer: Answer, result: str, now_s: float, *, tells: bool
) -> Reply:
    """Answer a call with what another was answered.

    Args:
        exchange: of the call.
        found: the entry.
        answer: its answer.
        result: `HIT` or `STALE`.
        now_s: since the epoch.
        tells: whether headers say more than its age.
    """
    headers = {AGE: str(max(0, int(now_s - found.entry.created_s)))}
    if tells:
        headers[CACHE] = f"{result}; kind={found.kind}"
        headers[ENTRY] = found.entry.id
        if found.kind == "semantic":
            headers[SIMILARITY] = f"{found.cosine:.4f}"
    reason = found.kind if result == "HIT" else "stale"
    return Reply(renewed(exchange, answer, now_s), HeaderEdits(set=headers), reason)


def shared_reply(
    exchange: Exchange, entry_id: str, answer: Answer, now_s: float, *, tells: bool
) -> Reply:
    """Answer a call with what an equal one has just been answered."""
    headers = {AGE: "0"}
    if tells:
        headers[CACHE] = "HIT; kind=exact; reason=coalesced"
        headers[ENTRY] = entry_id
    return Reply(renewed(exchange, answer, now_s), HeaderEdits(set=headers), "coalesced")


def renewed(exchange: Exchange, answer: Answer, now_s: float) -> Answer:
    """Return the answer as one to this exchange's call."""
    fresh_id = f"dragoman-{exchange.id}"
    if _is_kept_upstream(exchange):
        # A later call may name it as what it goes on from; the provider knows it by this id only.
        fresh_id = str(answer.document.get("id") or fresh_id)
    return answer.replayed(id=fresh_id, created_s=int(now_s))


def _is_kept_upstream(exchange: Exchange) -> bool:
    call = exchange.call
    if call is None or call.dialect.name != "openai.responses":
        return False
    return call.document.get("store") is not False
