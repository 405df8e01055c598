"""What an operator may ask of the cache: `/plugins/{instance}/…` of the admin server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.api import AdminAnswer, AdminRequest
from plugins.semantic_cache import metrics
from plugins.semantic_cache.cache import Cache
from plugins.semantic_cache.config import SemanticCacheConfig
from plugins.semantic_cache.entries import Entry
from plugins.semantic_cache.portable import exported, imported
from plugins.semantic_cache.prompts import InvalidPrompt, looked_up, scored, warmed
from plugins.semantic_cache.records import StoreUnavailable

_FILTERS = ("tag", "tenant", "model", "route")
_MOST_LISTED = 1000


@dataclass(frozen=True, slots=True)
class _Desk:
    """What every answer needs."""

    cache: Cache
    config: SemanticCacheConfig
    name: str
    request: AdminRequest
    now_s: float

    def answer(self, document: Mapping[str, Any], status: int = 200) -> AdminAnswer:
        return AdminAnswer(status, document, is_local=not self.cache.is_shared)

    def document(self) -> dict[str, Any]:
        try:
            document = orjson.loads(self.request.body or b"{}")
        except orjson.JSONDecodeError as error:
            raise InvalidPrompt("the body is no JSON") from error
        if not isinstance(document, dict):
            raise InvalidPrompt("the body is no JSON object")
        return document

    def selected(self, limit: int | None = None) -> list[Entry]:
        chosen = {name: self.request.query.get(name) for name in _FILTERS}
        return self.cache.replica.select(self.now_s, limit=limit, **chosen)

    def number(self, name: str, default: int, most: int) -> int:
        given = self.request.query.get(name, "")
        return min(int(given), most) if given.isdecimal() and len(given) < 10 else default


async def administer(
    cache: Cache, config: SemanticCacheConfig, name: str, request: AdminRequest, now_s: float
) -> AdminAnswer | None:
    """Answer an operator; None for what there is not.

    Args:
        cache: the instance's.
        config: its options.
        name: the instance's.
        request: what is asked.
        now_s: since the epoch.
    """
    desk = _Desk(cache, config, name, request, now_s)
    parts = request.path.strip("/").split("/")
    # `entries/{id}` and what is under it have the id in the middle.
    ids = parts[1:2] if parts[0] == "entries" else []
    handler = _HANDLERS.get((request.method, len(ids), *parts[:1], *parts[1 + len(ids) :]))
    if handler is None:
        return None
    try:
        return await handler(desk, *ids)
    except InvalidPrompt as error:
        return AdminAnswer(400, {"error": str(error)})
    except StoreUnavailable as error:
        return AdminAnswer(503, {"error": str(error)})


def described(entry: Entry) -> dict[str, Any]:
    """Return what is known of an entry, without its texts."""
    return {
        "id": entry.id,
        "route": entry.route,
        "tenant": entry.tenant,
        "model": entry.model,
        "tags": list(entry.tags),
        "created_s": entry.created_s,
        "fresh_s": entry.fresh_s,
        "expires_s": entry.expires_s,
        "body_bytes": entry.body_bytes,
        "saves_s": entry.saves_s,
        "saves_usd": entry.saves_usd,
        "hits": entry.hits,
    }


async def _stats(desk: _Desk) -> AdminAnswer:
    usage = desk.cache.replica.usage()
    routes = {route: {"entries": count, "bytes": size} for route, (count, size) in usage.items()}
    return desk.answer({"routes": routes, "memory_bytes": desk.cache.replica.size_bytes})


async def _listed(desk: _Desk) -> AdminAnswer:
    entries = desk.selected(desk.number("limit", 100, _MOST_LISTED))
    return desk.answer({"entries": [described(entry) for entry in entries]})


async def _shown(desk: _Desk, entry_id: str) -> AdminAnswer:
    entry = desk.cache.replica.get(entry_id, desk.now_s)
    if entry is None:
        return desk.answer({"entries": []})
    (body,) = await desk.cache.bodies([entry_id])
    document = described(entry)
    if body is not None:
        document |= {"question": body.question, "answer": _json(body.answer)}
    return desk.answer({"entries": [document]})


async def _deleted(desk: _Desk) -> AdminAnswer:
    if not any(desk.request.query.get(name) for name in _FILTERS):
        named = ", ".join(_FILTERS)
        raise InvalidPrompt(f"say which entries by one of {named}; POST flush deletes all")
    ids = [entry.id for entry in desk.selected()]
    await desk.cache.drop(ids)
    return desk.answer({"deleted": len(ids)})


async def _deleted_one(desk: _Desk, entry_id: str) -> AdminAnswer:
    known = desk.cache.replica.get(entry_id, desk.now_s) is not None
    await desk.cache.drop([entry_id])
    return desk.answer({"deleted": int(known)})


async def _judged(desk: _Desk, entry_id: str) -> AdminAnswer:
    verdict = desk.document().get("verdict")
    if verdict not in ("good", "bad"):
        raise InvalidPrompt("a verdict is good or bad")
    metrics.FEEDBACK.labels(desk.name, verdict).inc()
    # Which worker served it is not known: each is told, and those that did not learn nothing.
    learned = desk.cache.bounds.judge_served(entry_id, correct=verdict == "good")
    known = desk.cache.replica.get(entry_id, desk.now_s) is not None
    if verdict == "bad":
        await desk.cache.drop([entry_id])
    document = {"known": int(known), "learned": int(learned)}
    return AdminAnswer(200, document, is_local=True)


async def _flushed(desk: _Desk) -> AdminAnswer:
    await desk.cache.flush()
    return desk.answer({"flushed": True})


async def _looked_up(desk: _Desk) -> AdminAnswer:
    document = desk.document()
    return desk.answer(await looked_up(desk.cache, desk.config, desk.request, document, desk.now_s))


async def _warmed(desk: _Desk) -> AdminAnswer:
    document = desk.document()
    return desk.answer(await warmed(desk.cache, desk.config, desk.request, document, desk.now_s))


async def _scored(desk: _Desk) -> AdminAnswer:
    return AdminAnswer(200, await scored(desk.cache, desk.request, desk.document()))


async def _labels(desk: _Desk) -> AdminAnswer:
    document = {"embedder": desk.cache.embedder, "labels": list(desk.cache.bounds.labels)}
    return AdminAnswer(200, document, is_local=True)


async def _exported(desk: _Desk) -> AdminAnswer:
    position = desk.request.query.get("position", "")
    records: list[dict[str, Any]] = []
    while True:
        metas, position = await desk.cache.log(position)
        bodies = await desk.cache.bodies([meta.id for meta in metas])
        records += [
            exported(meta, body)
            for meta, body in zip(metas, bodies, strict=True)
            if body is not None
        ]
        # Each process has its own place in its own log: then there is one page.
        if desk.cache.is_shared or not metas:
            return desk.answer({"records": records, "next": position if metas else None})


async def _imported(desk: _Desk) -> AdminAnswer:
    records = desk.document().get("records")
    if not isinstance(records, list):
        raise InvalidPrompt("an import has a list of records")
    count = 0
    for one in records:
        record = imported(one, desk.now_s)
        if record is not None:
            await desk.cache.keep(record)
            count += 1
    return AdminAnswer(200, {"imported": count})


def _json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


_HANDLERS: Mapping[tuple[str | int, ...], Callable[..., Awaitable[AdminAnswer]]] = {
    ("GET", 0, "stats"): _stats,
    ("GET", 0, "entries"): _listed,
    ("GET", 1, "entries"): _shown,
    ("DELETE", 0, "entries"): _deleted,
    ("DELETE", 1, "entries"): _deleted_one,
    ("POST", 1, "entries", "feedback"): _judged,
    ("POST", 0, "flush"): _flushed,
    ("POST", 0, "lookup"): _looked_up,
    ("POST", 0, "warm"): _warmed,
    ("POST", 0, "score"): _scored,
    ("GET", 0, "labels"): _labels,
    ("GET", 0, "export"): _exported,
    ("POST", 0, "import"): _imported,
}
