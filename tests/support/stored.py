"""Records for tests of stores, and what their logs amount to."""

from __future__ import annotations

import asyncio
import secrets
import time

import numpy as np

from plugins.semantic_cache.records import Body, Deleted, Flushed, Inserted, Meta, Record
from plugins.semantic_cache.stores import StoreOptions, make_store

PATIENT = StoreOptions(get_timeout_s=10, write_timeout_s=20)
"""For a machine that is busy with other tests."""


def record(id_=None, *, question="why?", answer=b'{"id":"1"}', ttl_s=3600.0, dimension=16, **known):
    """Make a record; the numbers of its vector are halves, so that they come back as they were."""
    now = time.time()
    vector = np.zeros(dimension, dtype=np.float32)
    vector[secrets.randbelow(dimension)] = 1.0
    facts = {
        "partition": b"p" * 16,
        "exact": b"e" * 16,
        "route": "chat",
        "tenant": "ann",
        "model": "gpt-5",
        "tags": ("faq", "v2"),
        "vector": vector,
        "embedder": "tiny-1",
        "created_s": now,
        "fresh_s": now + ttl_s / 2,
        "expires_s": now + ttl_s,
        "body_bytes": len(answer) + len(question),
        "saves_s": 1.5,
        "saves_usd": 0.25,
        **known,
    }
    meta = Meta(id=id_ or secrets.token_hex(8), **facts)
    return Record(meta, Body(question=question, dialect="openai_chat", answer=answer))


class Follower:
    """A reader of a store's log, and the entries that there are by what he read."""

    def __init__(self, store):
        self.store = store
        self.position = ""
        self.metas = {}
        self.flushes = 0

    async def read(self):
        """Read to the end; return the changes."""
        read = []
        while True:
            changes, self.position = await self.store.tail(self.position)
            if not changes:
                return read
            read += changes
            for change in changes:
                self._apply(change)

    async def until(self, holds, within_s=10.0):
        """Read until something holds."""
        async with asyncio.timeout(within_s):
            while not holds():
                await self.read()
                await asyncio.sleep(0.005)

    def _apply(self, change):
        match change:
            case Inserted(meta):
                self.metas[meta.id] = meta
            case Deleted(ids):
                for id_ in ids:
                    self.metas.pop(id_, None)
            case Flushed():
                self.metas.clear()
                self.flushes += 1


def same_meta(one, other):
    """Say whether two metas are equal, their vectors too."""
    names = [name for name in Meta.__slots__ if name != "vector"]
    if (one.vector is None) != (other.vector is None):
        return False
    vectors = one.vector is None or np.array_equal(one.vector, other.vector)
    return vectors and all(getattr(one, name) == getattr(other, name) for name in names)


async def opened(url, options=PATIENT):
    """Make a store and open it."""
    store = make_store(url, options)
    await store.open()
    return store
