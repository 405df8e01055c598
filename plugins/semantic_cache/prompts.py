"""An operator's own calls: looked up without a client, and stored with a given answer."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.api import AdminRequest, Answer, Call, Dialect, InferenceError, InvalidCall
from plugins.semantic_cache.admission import Admission, admission_of, unfit
from plugins.semantic_cache.cache import Cache
from plugins.semantic_cache.config import SemanticCacheConfig
from plugins.semantic_cache.keys import Keys, keys_of
from plugins.semantic_cache.lookup import Examined
from plugins.semantic_cache.records import Body, Meta, Record, Vector
from plugins.semantic_cache.savings import cost_usd

_DEFAULT_DIALECT = "openai.chat"


class InvalidPrompt(Exception):
    """What an operator sent is no request that the cache takes; its text says why."""


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A call as an operator describes it."""

    call: Call
    dialect: Dialect
    route: str
    tenant: str
    keys: Keys
    admitted: Admission


async def looked_up(
    cache: Cache,
    config: SemanticCacheConfig,
    request: AdminRequest,
    document: Mapping[str, Any],
    now_s: float,
) -> dict[str, Any]:
    """Say what the cache would do with a call, and which stored questions it looked at.

    Args:
        cache: to look in; nothing in it changes.
        config: its options.
        request: brings the dialects and signals.
        document: `route`, `tenant`, `dialect` and `call`, the JSON that a client would send.
        now_s: since the epoch.

    Raises:
        InvalidPrompt: the document is none.
    """
    prompt = _prompt(config, request, document)
    if prompt.admitted.bypass:
        return {"result": "bypass", "reason": prompt.admitted.bypass, "near": []}
    found = await cache.exact(prompt.keys.exact)
    if found is not None:
        result = "hit" if found.entry.fresh_s >= now_s else "stale"
        return {"result": result, "kind": "exact", "entry": found.entry.id, "near": []}
    if prompt.admitted.exact_only:
        return {"result": "miss", "reason": prompt.admitted.exact_only, "near": []}
    vector, _ = await _embedded(cache, request, prompt.keys.question)
    search = await cache.near(prompt.keys.partition, vector, prompt.keys.question)
    near = [_examined(one) for one in search.examined]
    if search.found is None:
        said: dict[str, Any] = {"result": "miss", "reason": search.reason}
    else:
        said = {"result": "hit", "kind": "semantic", "entry": search.found.entry.id}
    return {**said, "threshold": search.threshold, "near": near}


async def warmed(
    cache: Cache,
    config: SemanticCacheConfig,
    request: AdminRequest,
    document: Mapping[str, Any],
    now_s: float,
) -> dict[str, Any]:
    """Store answers to calls that no client has sent yet.

    Args:
        cache: to store in.
        config: its options.
        request: brings the dialects and signals.
        document: `items`, each as for a lookup, and its `answer`: a text, or the answer's JSON.
        now_s: since the epoch.

    Returns:
        How many were stored, and by their place in the list why others were not.

    Raises:
        InvalidPrompt: there is no list.
    """
    items = document.get("items")
    if not isinstance(items, list):
        raise InvalidPrompt("warming has a list of items")
    stored, refused = 0, {}
    for at, item in enumerate(items):
        try:
            await cache.keep(await _record(cache, config, request, item, now_s))
            stored += 1
        except InvalidPrompt as error:
            refused[str(at)] = str(error)
    return {"stored": stored, "refused": refused}


async def scored(
    cache: Cache, request: AdminRequest, document: Mapping[str, Any]
) -> dict[str, Any]:
    """Score pairs of questions as lookups score them.

    Args:
        cache: whose verifier scores.
        request: brings the signals.
        document: `pairs`, each with `asked` and `stored`.

    Returns:
        The embedder, and a probability for each pair.

    Raises:
        InvalidPrompt: there are no pairs, or nothing scores them.
    """
    pairs = document.get("pairs")
    if not isinstance(pairs, list):
        raise InvalidPrompt("scoring has a list of pairs")
    probabilities = []
    embedder = ""
    for pair in pairs:
        asked, stored = _texts(pair)
        first, embedder = await _embedded(cache, request, asked)
        second, _ = await _embedded(cache, request, stored)
        if cache.verifier is None:
            raise InvalidPrompt(f"no verifier is made for {embedder or 'this embedder'}")
        probabilities.append(cache.verifier.probability(asked, stored, float(first @ second)))
    return {"embedder": embedder, "probabilities": probabilities}


async def _record(
    cache: Cache,
    config: SemanticCacheConfig,
    request: AdminRequest,
    item: object,
    now_s: float,
) -> Record:
    if not isinstance(item, dict):
        raise InvalidPrompt("an item is a JSON object")
    prompt = _prompt(config, request, item)
    if prompt.admitted.bypass:
        raise InvalidPrompt(f"the call is not cached: {prompt.admitted.bypass}")
    answer = _answer(prompt, item.get("answer"), now_s)
    why = unfit(answer, config.max_entry_bytes)
    if why:
        raise InvalidPrompt(f"the answer is not kept: {why}")
    vector, embedder = None, ""
    if not prompt.admitted.exact_only and prompt.keys.question.strip():
        vector, embedder = await _embedded(cache, request, prompt.keys.question)
    body = Body(prompt.keys.question, prompt.dialect.name, answer.encode())
    meta = Meta(
        id=secrets.token_hex(8),
        partition=prompt.keys.partition,
        exact=prompt.keys.exact,
        route=prompt.route,
        tenant=prompt.tenant,
        model=prompt.call.model,
        tags=tuple(str(tag) for tag in item.get("tags", ()) if isinstance(tag, str)),
        vector=vector,
        embedder=embedder,
        created_s=now_s,
        fresh_s=now_s + config.ttl,
        expires_s=now_s + config.ttl + config.stale,
        body_bytes=len(body.answer) + len(body.question.encode("utf-8", "surrogatepass")),
        saves_s=0.0,
        saves_usd=cost_usd(answer),
    )
    return Record(meta, body)


def _prompt(
    config: SemanticCacheConfig, request: AdminRequest, document: Mapping[str, Any]
) -> _Prompt:
    name = document.get("dialect", _DEFAULT_DIALECT)
    dialect = request.dialects.get(name) if isinstance(name, str) else None
    if dialect is None:
        there_are = ", ".join(sorted(request.dialects))
        raise InvalidPrompt(f"there is no such dialect; there are {there_are}")
    said, route = document.get("call"), document.get("route")
    if not isinstance(said, dict) or not isinstance(route, str):
        raise InvalidPrompt("a call has its JSON as `call` and the name of its route as `route`")
    try:
        dialect.check(said)
    except InvalidCall as error:
        raise InvalidPrompt(f"the call is not valid: {error}") from error
    tenant = document.get("tenant") or ""
    if not isinstance(tenant, str):
        raise InvalidPrompt("a tenant is a text")
    if config.scope == "shared":
        tenant = ""
    call = Call(dialect, said, None)
    keys = keys_of(call, route=route, tenant=tenant)
    admitted = admission_of(call, tenant, config.scope, config.semantic)
    return _Prompt(call, dialect, route, tenant, keys, admitted)


def _answer(prompt: _Prompt, said: object, now_s: float) -> Answer:
    if isinstance(said, dict):
        return Answer(prompt.dialect, said)
    if not isinstance(said, str) or not said:
        raise InvalidPrompt("an answer is a text, or the JSON of one")
    try:
        composed = prompt.dialect.compose(
            said, model=prompt.call.model, id=secrets.token_hex(8), created_s=int(now_s)
        )
    except ValueError as error:
        raise InvalidPrompt(str(error)) from error
    return Answer(prompt.dialect, composed)


async def _embedded(cache: Cache, request: AdminRequest, question: str) -> tuple[Vector, str]:
    signals = request.signals
    if signals is None:
        raise InvalidPrompt("no model computes embeddings here")
    try:
        vector = await signals.embedding(question)
    except (InferenceError, LookupError, TypeError) as error:
        raise InvalidPrompt(f"the question has no embedding: {type(error).__name__}") from error
    embedder = signals.fingerprint("embedding")
    await cache.adopt(embedder, vector)
    return vector, embedder


def _texts(pair: object) -> tuple[str, str]:
    if isinstance(pair, dict):
        asked, stored = pair.get("asked"), pair.get("stored")
        if isinstance(asked, str) and isinstance(stored, str) and asked and stored:
            return asked, stored
    raise InvalidPrompt("a pair has two texts, asked and stored")


def _examined(one: Examined) -> dict[str, Any]:
    return {
        "entry": one.entry.id,
        "cosine": round(one.cosine, 4),
        "probability": round(one.probability, 4),
        "differences": list(one.differences),
    }
