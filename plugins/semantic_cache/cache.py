"""The cache of one plugin instance: its store, what this process knows of it, and the verifier."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from plugins.semantic_cache import metrics
from plugins.semantic_cache.bounds import NEVER, Bounds
from plugins.semantic_cache.config import SemanticCacheConfig
from plugins.semantic_cache.entries import Entry
from plugins.semantic_cache.eviction import Limits, Policy
from plugins.semantic_cache.lookup import Examined, Found, Search
from plugins.semantic_cache.records import (
    Body,
    Change,
    Inserted,
    Meta,
    Record,
    Store,
    StoreUnavailable,
    Vector,
)
from plugins.semantic_cache.replica import Match, Replica
from plugins.semantic_cache.sameness import SAME, is_same
from plugins.semantic_cache.verification import Verifier
from plugins.semantic_cache.verifying import starting_threshold

# Below this two questions have nothing to do with each other, whoever embeds them.
_LEAST_COSINE = 0.3
# Changes of a log that are taken in at once: half a millisecond or so.
_SLICE = 8


class SharedIndex(Protocol):
    """An index outside of the process; all methods may raise StoreUnavailable."""

    async def open(self) -> None:
        """Connect."""

    async def close(self) -> None:
        """Let go."""

    async def insert(self, id_: str, partition: bytes, vector: Vector, expires_s: float) -> None:
        """Add a vector."""

    async def delete(self, ids: Sequence[str]) -> None:
        """Forget vectors."""

    async def search(self, partition: bytes, vector: Vector, k: int) -> list[tuple[str, float]]:
        """Return ids and cosines of the nearest of a partition, nearest first."""


class Cache:
    """Finds, keeps and forgets entries; all of it on the event loop, none of it waiting for writes.

    Args:
        name: the plugin instance's, for metrics.
        config: its options.
        store: where entries are kept.
        verifier_of: returns the verifier of an embedding's fingerprint, None where there is none.
        index_of: makes the index of a fingerprint and a dimension; None where vectors are searched
            in this process.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        name: str,
        config: SemanticCacheConfig,
        store: Store,
        verifier_of: Callable[[str], Verifier | None],
        index_of: Callable[[str, int], SharedIndex] | None,
        now: Callable[[], float],
    ) -> None:
        self._name = name
        self._config = config
        self._store = store
        self._verifier_of = verifier_of
        self._index_of = index_of
        self._index: SharedIndex | None = None
        self._now = now
        self._embedder = ""
        self._verifier: Verifier | None = None
        self.bounds = Bounds(config.semantic.max_error)
        self._replica = self._new_replica(1)
        self._position = ""
        self._syncing: asyncio.Task[None] | None = None
        self._writing: set[asyncio.Task[None]] = set()
        self._maintaining = asyncio.Lock()

    @property
    def is_shared(self) -> bool:
        """Whether other processes have the same entries."""
        return self._store.is_shared

    @property
    def embedder(self) -> str:
        """Fingerprint of what embeds questions; empty before the first."""
        return self._embedder

    @property
    def verifier(self) -> Verifier | None:
        """Of that embedder."""
        return self._verifier

    @property
    def replica(self) -> Replica:
        """What this process knows."""
        return self._replica

    async def open(self) -> None:
        """Connect, take in what is there, and begin to follow the store's log."""
        await self._store.open()
        await self._catch_up()
        self._syncing = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Finish writing and let go of the store."""
        if self._syncing is not None:
            self._syncing.cancel()
            with suppress(asyncio.CancelledError):
                await self._syncing
        if self._writing:
            await asyncio.wait(self._writing, timeout=self._config.store_options.write_timeout)
        if self._index is not None:
            await self._index.close()
        await self._store.close()

    async def adopt(self, embedder: str, vector: Vector) -> None:
        """Take notice of what embeds questions now; vectors of something else are of no use.

        Args:
            embedder: its fingerprint.
            vector: one that it made.
        """
        if embedder == self._embedder and self._embedder:
            return
        self._embedder = embedder
        self._verifier = self._verifier_of(embedder)
        budget = self._config.semantic.max_error
        self.bounds.calibrate(
            starting_threshold(self._verifier, budget) if self._verifier else NEVER
        )
        self._replica = self._new_replica(len(vector))
        self._position = ""
        before, self._index = self._index, None
        if before is not None:
            await before.close()
        if self._index_of is not None:
            index = self._index_of(embedder, len(vector))
            await index.open()
            self._index = index
        # A long log takes a while: until it is read there are misses.
        self._begin(self._catch_up())

    async def exact(self, exact: bytes) -> Found | None:
        """Return the entry of the same call, fresh or stale."""
        entry = self._replica.exact(exact, self._now())
        if entry is None:
            return None
        (body,) = await self.bodies([entry.id])
        return None if body is None else Found(entry, body, "exact")

    async def near(self, partition: bytes, vector: Vector, question: str) -> Search:
        """Return the near entry whose answer most probably serves, if the budget allows it.

        Args:
            partition: which entries may answer at all.
            vector: embedding of the question.
            question: its text.
        """
        semantic = self._config.semantic
        now_s = self._now()
        with metrics.STAGES.labels(self._name, "search").time():
            matches = [
                match
                for match in await self._neighbours(partition, vector, now_s)
                if match.cosine >= (semantic.threshold or _LEAST_COSINE)
                and match.entry.fresh_s > now_s
            ]
        if not matches:
            return Search(None, "nothing_near")
        if self._verifier is None and semantic.threshold is None:
            return Search(None, "uncalibrated")
        bodies = await self.bodies([match.entry.id for match in matches])
        with metrics.STAGES.labels(self._name, "verify").time():
            return self._verified(partition, question, matches, bodies)

    async def bodies(self, ids: Sequence[str]) -> list[Body | None]:
        """Fetch bodies; what is gone from the store is forgotten here, and all is where it is."""
        try:
            with metrics.STAGES.labels(self._name, "fetch").time():
                found = await self._store.get(ids)
        except StoreUnavailable:
            metrics.STORE_ERRORS.labels(self._name, "get").inc()
            return [None] * len(ids)
        self._replica.remove([id_ for id_, body in zip(ids, found, strict=True) if body is None])
        return found

    async def log(self, position: str) -> tuple[list[Meta], str]:
        """Return entries that came after a position of the store's log, and where that ends.

        Raises:
            StoreUnavailable: it cannot be read now.
        """
        changes, position = await self._store.tail(position)
        return [change.meta for change in changes if isinstance(change, Inserted)], position

    def touch(self, entry: Entry) -> None:
        """Note that an entry was served."""
        self._replica.touch(entry.id, self._now())

    async def keep(self, record: Record) -> None:
        """Keep an entry: at once for this process, within a second for all."""
        meta = record.meta
        try:
            # First: who finds it in between must find its body too.
            await self._store.put(record)
            if self._index is not None and meta.vector is not None:
                await self._index.insert(meta.id, meta.partition, meta.vector, meta.expires_s)
        except StoreUnavailable:
            metrics.STORE_ERRORS.labels(self._name, "put").inc()
            return
        self.discard(self._replica.insert(self._local(meta), self._now()))

    async def drop(self, ids: Iterable[str]) -> None:
        """Forget entries, here at once.

        Raises:
            StoreUnavailable: the store still has them.
        """
        going = list(ids)
        self._replica.remove(going)
        if going:
            await self._deleted_everywhere(going)

    async def flush(self) -> None:
        """Forget everything.

        Raises:
            StoreUnavailable: the store still has it.
        """
        known = [entry.id for entry in self._replica.select(self._now())] if self._index else []
        self._replica.clear()
        await self._store.flush()
        if self._index is not None:
            await self._index.delete(known)

    def discard(self, ids: Iterable[str]) -> None:
        """Delete what left this process' knowledge from the store too, without waiting."""
        going = list(ids)
        metrics.EVICTIONS.labels(self._name).inc(len(going))
        self._forget(going)

    def _verified(
        self,
        partition: bytes,
        question: str,
        matches: Sequence[Match],
        bodies: Sequence[Body | None],
    ) -> Search:
        threshold = self.bounds.threshold(partition) if self._verifier is not None else 0.0
        near = [
            Found(match.entry, body, "semantic", match.cosine, self._chance(question, match, body))
            for match, body in zip(matches, bodies, strict=True)
            if body is not None
        ]
        if not near:
            return Search(None, "gone")
        best = max(near, key=lambda found: found.probability)
        is_hit = best.probability >= threshold
        # Who is served has no time for what differs; who is not waits for the provider anyway.
        examined = tuple(
            Examined(
                found.entry,
                found.cosine,
                found.probability,
                () if is_hit else self._differences(question, found.body),
            )
            for found in near
        )
        found = best if is_hit else None
        return Search(found, "" if is_hit else "unverified", examined, threshold, best)

    def _chance(self, question: str, match: Match, body: Body) -> float:
        if is_same(question, body.question):
            return SAME
        if self._verifier is None:
            return match.cosine
        return self._verifier.probability(question, body.question, match.cosine)

    def _differences(self, question: str, body: Body) -> tuple[str, ...]:
        if self._verifier is None:
            return ()
        return self._verifier.disagreements(question, body.question)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._config.store_options.poll)
            if self._store.is_shared:
                await self._catch_up()
            self._forget(self._replica.expire(self._now()))
            await self._maintained()
            entries, size = 0, 0
            for count, bytes_ in self._replica.usage().values():
                entries, size = entries + count, size + bytes_
            metrics.ENTRIES.labels(self._name).set(entries)
            metrics.BYTES.labels(self._name).set(size)

    async def _maintained(self) -> None:
        async with self._maintaining:
            while (work := self._replica.maintain()) is not None:
                await asyncio.to_thread(work)

    async def _catch_up(self) -> None:
        try:
            while True:
                replica = self._replica
                changes, position = await self._store.tail(self._position)
                if replica is not self._replica:
                    continue  # another embedder was adopted meanwhile: from the beginning
                for at in range(0, len(changes), _SLICE):
                    told = [self._told(change) for change in changes[at : at + _SLICE]]
                    self.discard(replica.apply(told, self._now()))
                    await asyncio.sleep(0)  # a long log must not hold up the calls
                if replica is not self._replica:
                    continue
                self._position = position
                await self._maintained()
                if not changes:
                    return
        except StoreUnavailable:
            metrics.STORE_ERRORS.labels(self._name, "tail").inc()

    async def _neighbours(self, partition: bytes, vector: Vector, now_s: float) -> list[Match]:
        k = self._config.semantic.neighbours
        if self._index is None:
            return self._replica.near(partition, vector, k, now_s)
        try:
            found = await self._index.search(partition, vector, k)
        except StoreUnavailable:
            metrics.STORE_ERRORS.labels(self._name, "search").inc()
            return []
        # Its partition was a part of the search; what this process knows of it decides the rest.
        known = ((self._replica.get(id_, now_s), cosine) for id_, cosine in found)
        return [Match(entry, cosine) for entry, cosine in known if entry is not None]

    def _local(self, meta: Meta) -> Meta:
        # A shared index has the vector: not each process again.
        return meta if self._index_of is None else replace(meta, vector=None)

    def _told(self, change: Change) -> Change:
        return Inserted(self._local(change.meta)) if isinstance(change, Inserted) else change

    def _new_replica(self, dimension: int) -> Replica:
        limits = Limits(
            self._config.max_entries, self._config.max_bytes, Policy(self._config.eviction)
        )
        return Replica(dimension=dimension, embedder=self._embedder, limits={}, default=limits)

    def _forget(self, ids: list[str]) -> None:
        if ids:
            self._begin(self._deleted(ids))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _deleted(self, ids: list[str]) -> None:
        try:
            await self._deleted_everywhere(ids)
        except StoreUnavailable:
            metrics.STORE_ERRORS.labels(self._name, "delete").inc()

    async def _deleted_everywhere(self, ids: list[str]) -> None:
        await self._store.delete(ids)
        if self._index is not None:
            await self._index.delete(ids)
