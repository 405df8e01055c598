"""The plugin `semantic_cache`."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from pipeline.api import (
    Answer,
    Call,
    Decision,
    Event,
    Exchange,
    HeaderEdits,
    InferenceError,
    Outcome,
    Plugin,
    Refuse,
    Reply,
    Rewrite,
)
from plugins.semantic_cache import admission, metrics, serving
from plugins.semantic_cache.coalescing import Flights
from plugins.semantic_cache.config import SemanticCacheConfig
from plugins.semantic_cache.directives import NOTHING, Directives, parse_directives
from plugins.semantic_cache.keeping import agrees, record_of
from plugins.semantic_cache.keys import keys_of
from plugins.semantic_cache.lookup import Found, Search
from plugins.semantic_cache.recent import Recent
from plugins.semantic_cache.savings import count_saved
from plugins.semantic_cache.visit import Visit

if TYPE_CHECKING:
    import typer

    from pipeline.api import AdminAnswer, AdminRequest, RunningHost
    from plugins.semantic_cache.cache import Cache

_VISIT = "visit"
# Folding a stream of so many events takes about a millisecond: not on the event loop.
_MANY_EVENTS = 300


class SemanticCache(Plugin[SemanticCacheConfig]):
    """Serves answers again that were already paid for, to the same call or to one that means it.

    Put it behind guards and PII plugins, so that it sees what they let through and its hits pass
    them on the way back, and before plugins that choose a model.
    """

    Config = SemanticCacheConfig
    traits = frozenset({"cache"})
    on_error = "open"
    # Over the longest wait for an equal call in flight; lookups have limits of their own.
    timeout_s: ClassVar[float] = 12.0
    requires = ("faiss",)
    extra = "dragoman[semantic-cache]"

    def __init__(self, config: SemanticCacheConfig, *, name: str) -> None:
        # Late: to look at the class, as `dragoman plugins` does, takes no numpy and no index.
        from plugins.semantic_cache.opening import open_cache  # noqa: PLC0415

        super().__init__(config, name=name)
        self.signals = ("embedding",) if config.semantic.enabled else ()
        self._flights = Flights()
        self._recent = Recent()
        self._random = random.Random()  # noqa: S311 - jitter and samples, no secrets
        self._now = time.time
        self._cache: Cache = open_cache(config, name, self._now)

    async def startup(self) -> None:
        """Connect to the store and take in what is there."""
        await self._cache.open()

    async def shutdown(self) -> None:
        """Write what is waiting and let go of the store."""
        await self._cache.close()

    def register_commands(
        self, register: Callable[[str, typer.Typer], None], host: RunningHost
    ) -> None:
        """Register `dragoman cache`; of several instances the first has it, others their names."""
        from plugins.semantic_cache.commands import commands  # noqa: PLC0415 - for the CLI alone

        try:
            register("cache", commands(host))
        except Exception:  # noqa: BLE001 - the name is taken
            register(self.name, commands(host))

    def wanted_signals(self, call: Call) -> Iterable[tuple[str, Sequence[str]]]:
        """Ask for the question's embedding where another wording might hit."""
        if not self.signals:
            return ()
        # Whose it is does not matter here: that is looked at when it is looked up.
        admitted = admission.admission_of(call, "", "shared", self.config.semantic)
        if admitted.bypass or admitted.exact_only:
            return ()
        # Embedding a question that hits as it stands would take longer than to serve it.
        return [
            (text, names)
            for text, names in super().wanted_signals(call)
            if text not in self._recent
        ]

    async def on_request(self, exchange: Exchange) -> Decision | None:
        """Serve the call from the cache, or let it through and note what is to be kept."""
        config = self.config
        call = exchange.call
        admitted = admission.admission_of(call, exchange.tenant, config.scope, config.semantic)
        asked = NOTHING
        if config.client_control:
            asked = parse_directives(exchange.request.headers.get_all("cache-control"))
        if admitted.bypass or asked.no_store or call is None:
            return self._bypassed(exchange, admitted.bypass or "no_store", asked)
        tenant = "" if config.scope == "shared" else exchange.tenant or ""
        with metrics.STAGES.labels(self.name, "keys").time():
            keys = keys_of(call, route=exchange.route, tenant=tenant)
        visit = exchange.state(self)[_VISIT] = Visit(keys)
        if asked.no_cache:
            return self._missed(exchange, visit, "no_cache", asked)
        decision = await self._exact(exchange, visit, asked)
        if decision is not None:
            return decision
        reason = "disabled" if admitted.exact_only else ""
        if admitted.exact_only:
            reason = admitted.exact_only
        else:
            found, reason = await self._semantic(exchange, visit, asked)
            if found is not None:
                return found
        return self._missed(exchange, visit, reason, asked)

    def on_response_headers(self, exchange: Exchange) -> Decision | None:
        """Say what the cache did."""
        report = self._report(exchange)
        if not report or not self.config.debug_headers:
            return None
        return Rewrite(headers=HeaderEdits(set={serving.CACHE: report}), reason="reported")

    def on_response_event(self, exchange: Exchange, event: Event) -> None:
        """Take in a streamed answer."""
        visit = self._visit(exchange)
        if visit is not None and visit.stores:
            visit.take(event, self.config.max_entry_bytes)

    def on_response(self, exchange: Exchange) -> None:
        """Take in a whole answer."""
        visit = self._visit(exchange)
        if visit is not None and exchange.response is not None:
            visit.answer = exchange.response.answer

    async def on_complete(self, exchange: Exchange, outcome: Outcome) -> None:
        """Keep the answer, now that it has passed everybody, and give it to who waits for it."""
        visit = self._visit(exchange)
        if visit is None:
            return
        kept: tuple[str, Answer] | None = None
        try:
            kept = await self._kept(exchange, visit, outcome)
        finally:
            if visit.flight is not None:
                self._flights.land(visit.keys.exact, visit.flight, kept)

    async def administer(self, request: AdminRequest) -> AdminAnswer | None:
        """Look up, list, delete, judge, import and export entries."""
        from plugins.semantic_cache.administering import administer  # noqa: PLC0415 - rarely

        return await administer(self._cache, self.config, self.name, request, self._now())

    async def _exact(self, exchange: Exchange, visit: Visit, asked: Directives) -> Decision | None:
        """Serve the same call's answer, or wait for the one that fetches it."""
        deadline_s = time.monotonic() + self.config.coalesce_wait
        while True:
            found = await self._cache.exact(visit.keys.exact)
            flight = self._flights.find(visit.keys.exact)
            if found is not None:
                result = self._servable(found, asked, is_refreshed=flight is not None)
                decision = self._served(exchange, found, result) if result else None
                if decision is not None:
                    return decision
            flight, leads = self._flights.join(visit.keys.exact)
            if leads:
                visit.flight = flight
                return None
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return None
            with metrics.STAGES.labels(self.name, "wait").time():
                landed = await flight.wait(left_s)
            if landed is not None:
                metrics.LOOKUPS.labels(self.name, "hit", "coalesced").inc()
                count_saved(self.name, landed[1], 0.0, 0.0)
                return serving.shared_reply(
                    exchange, *landed, self._now(), tells=self.config.debug_headers
                )

    def _servable(self, found: Found, asked: Directives, *, is_refreshed: bool) -> str:
        """Say how an entry may be served: `HIT`, `STALE`, or not at all."""
        now_s = self._now()
        age_s = now_s - found.entry.created_s
        if asked.max_age_s is not None and age_s > asked.max_age_s:
            return ""
        if now_s <= found.entry.fresh_s:
            return "HIT"
        stale_s = now_s - found.entry.fresh_s
        tolerates = asked.max_stale_s is not None and stale_s <= asked.max_stale_s
        # One request fetches anew; all others are served meanwhile.
        return "STALE" if is_refreshed or tolerates or asked.only_if_cached else ""

    async def _semantic(
        self, exchange: Exchange, visit: Visit, asked: Directives
    ) -> tuple[Decision | None, str]:
        question = visit.keys.question
        if not question.strip():
            return None, "no_text"
        semantic = self.config.semantic
        try:
            with metrics.STAGES.labels(self.name, "embedding").time():
                async with asyncio.timeout(semantic.embedding_timeout):
                    vector = await exchange.signals.embedding(question)
        except (InferenceError, LookupError, TypeError, TimeoutError):
            return None, "no_embedding"
        if exchange.signals.unread:
            # What was not read may be what differs.
            return None, "truncated"
        embedder = exchange.signals.fingerprint("embedding")
        if not embedder:
            # Vectors that cannot be told from those of another model are of no use later.
            return None, "unnamed_model"
        visit.embedder, visit.vector = embedder, vector
        await self._cache.adopt(embedder, vector)
        search = await self._cache.near(visit.keys.partition, vector, question)
        self._observe(search)
        found = search.found
        is_sample = self._random.random() < semantic.shadow_share
        if found is None:
            # A near miss costs nothing to learn from: the provider answers it anyway.
            visit.compared = search.best if is_sample else None
            return None, search.reason
        if not self._servable(found, asked, is_refreshed=False):
            return None, "max_age"
        self._cache.bounds.note_served(found.entry.id, visit.keys.partition, found.probability)
        if is_sample:
            visit.compared, visit.is_shadowed = found, True
            return None, "shadow"
        decision = self._served(exchange, found, "HIT")
        return decision, "" if decision is not None else "gone"

    def _observe(self, search: Search) -> None:
        if not search.examined:
            return
        nearest = search.examined[0]
        result = "miss" if search.found is None else "hit"
        metrics.SIMILARITY.labels(self.name, result).observe(nearest.cosine)
        if search.found is None:
            difference = next(iter(nearest.differences), "none")
            metrics.NEAR_MISSES.labels(self.name, difference).inc()

    def _served(self, exchange: Exchange, found: Found, result: str) -> Reply | None:
        assert exchange.call is not None  # noqa: S101 - it was looked up
        answer = serving.stored_answer(found.body, exchange.call.dialect)
        if answer is None:
            return None
        self._cache.touch(found.entry)
        reason = found.kind if result == "HIT" else "stale"
        metrics.LOOKUPS.labels(self.name, result.lower(), reason).inc()
        count_saved(self.name, answer, found.entry.saves_s, found.entry.saves_usd)
        visit = exchange.state(self).pop(_VISIT, None)
        if visit is not None and visit.flight is not None:
            self._flights.land(visit.keys.exact, visit.flight, (found.entry.id, answer))
        tells = self.config.debug_headers
        return serving.reply(exchange, found, answer, result, self._now(), tells=tells)

    def _missed(
        self, exchange: Exchange, visit: Visit, reason: str, asked: Directives
    ) -> Decision | None:
        metrics.LOOKUPS.labels(self.name, "miss", reason).inc()
        visit.report = f"MISS; reason={reason}"
        return self._only_if_cached(exchange, visit.report) if asked.only_if_cached else None

    def _bypassed(self, exchange: Exchange, reason: str, asked: Directives) -> Decision | None:
        metrics.LOOKUPS.labels(self.name, "bypass", reason).inc()
        report = exchange.state(self)["bypass"] = f"BYPASS; reason={reason}"
        return self._only_if_cached(exchange, report) if asked.only_if_cached else None

    def _only_if_cached(self, exchange: Exchange, report: str) -> Refuse:
        visit = exchange.state(self).pop(_VISIT, None)
        if visit is not None and visit.flight is not None:
            self._flights.land(visit.keys.exact, visit.flight, None)
        headers = {serving.CACHE: report} if self.config.debug_headers else {}
        # RFC 9111 §5.2.1.7
        message = "the call asks for a cached answer only, and there is none"
        return Refuse(504, "not_cached", message, HeaderEdits(set=headers))

    def _visit(self, exchange: Exchange) -> Visit | None:
        return exchange.state(self).get(_VISIT)

    def _report(self, exchange: Exchange) -> str:
        visit = self._visit(exchange)
        return visit.report if visit is not None else exchange.state(self).get("bypass", "")

    async def _kept(
        self, exchange: Exchange, visit: Visit, outcome: Outcome
    ) -> tuple[str, Answer] | None:
        """Keep the answer if it is fit; returns what equal calls may be given."""
        answer: Answer | None = None
        response = exchange.response
        why = admission.undone(outcome)
        if not why and (response is None or not response.via_upstream):
            why = "not_upstream"
        if not why:
            with suppress(ValueError, KeyError, TypeError):  # an upstream may send anything
                if len(visit.events or ()) > _MANY_EVENTS:
                    answer = await asyncio.to_thread(visit.whole_answer)
                else:
                    answer = visit.whole_answer()
            why = "unfinished"
            if answer is not None:
                why = admission.unfit(answer, self.config.max_entry_bytes)
        metrics.STORES.labels(self.name, why or "stored").inc()
        if why or answer is None:
            return None
        record = record_of(exchange, visit, answer, outcome, self.config, self._now(), self._random)
        await self._cache.keep(record)
        self._recent.add(visit.keys.question)
        if visit.compared is not None:
            await self._compare(exchange, visit, visit.compared, answer)
        return record.meta.id, answer

    async def _compare(
        self, exchange: Exchange, visit: Visit, found: Found, answer: Answer
    ) -> None:
        stored = serving.stored_answer(found.body, answer.dialect)
        agreed = await agrees(stored, answer, exchange.signals) if stored is not None else None
        if agreed is None:
            return
        if visit.is_shadowed:
            result = "agreed" if agreed else "differed"
            metrics.SHADOW_CHECKS.labels(self.name, result).inc()
        self._cache.bounds.judge(visit.keys.partition, found.probability, correct=agreed)
