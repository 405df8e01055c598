"""The store in Redis: shared by many nodes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from plugins.semantic_cache.records import (
    Body,
    Change,
    Deleted,
    Flushed,
    Position,
    Record,
)
from plugins.semantic_cache.stores.address import Address
from plugins.semantic_cache.stores.breaker import Breaker
from plugins.semantic_cache.stores.codec import (
    Packed,
    decode_body,
    encode_change,
    first_frame_bytes,
    pack,
)
from plugins.semantic_cache.stores.options import StoreOptions
from plugins.semantic_cache.stores.outbox import Outbox, Write
from plugins.semantic_cache.stores.redis_client import FAILURES, close_client, make_client
from plugins.semantic_cache.stores.redis_keys import RedisKeys, to_member
from plugins.semantic_cache.stores.redis_log import RedisLog

_FLUSHED_AT_ONCE = 1_000
_FETCHED_AT_ONCE = 100
# Writing them down keeps the event loop busy: some milliseconds for so many.
_MAX_BATCH = 64


class RedisStore:
    """Keeps records as keys that expire, and the log as a stream.

    An entry is one value: its meta's frame, then its body's. A server that evicts keys of its own
    accord takes entries, which are then misses.

    Args:
        address: of the servers.
        options: of the store.
    """

    def __init__(self, address: Address, options: StoreOptions) -> None:
        self._address = address
        self._options = options
        self._keys = RedisKeys(options.namespace)
        # The client's types differ between one server and a cluster in what they overload.
        self._client: Any = None
        self._breaker = Breaker(
            str(address),
            failures=FAILURES,
            probe=lambda: self._client.exists(self._keys.log),
            options=options,
        )
        self._outbox = Outbox(str(address), self._write, options, max_batch=_MAX_BATCH)

    @property
    def is_shared(self) -> bool:
        """Whether other processes see it: all that reach its servers."""
        return True

    async def open(self) -> None:
        """Make the client; it connects when it is asked something."""
        self._client = make_client(self._address, self._options)
        self._log = RedisLog(self._client, self._keys, self._ask)
        self._outbox.start()

    async def close(self) -> None:
        """Write what was handed over, and close all connections."""
        await self._outbox.close()
        await self._breaker.close()
        if self._client is not None:
            await close_client(self._client)

    async def put(self, record: Record) -> None:
        """Hand a record over."""
        self._breaker.check()
        await self._outbox.put(pack(record))

    async def get(self, ids: Sequence[str]) -> list[Body | None]:
        """Return bodies in the order of ids."""
        waiting = {id_: self._outbox.waiting(id_) for id_ in ids}
        asked = [id_ for id_, latest in waiting.items() if latest is None]
        found: dict[str, Body | None] = {}
        for at in range(0, len(asked), _FETCHED_AT_ONCE):
            some = asked[at : at + _FETCHED_AT_ONCE]
            values = await self._breaker.call(
                partial(self._values, some), self._options.get_timeout_s
            )
            found |= {id_: _body(id_, value) for id_, value in zip(some, values, strict=True)}
        return [found[id_] if (latest := waiting[id_]) is None else latest[0] for id_ in ids]

    async def delete(self, ids: Sequence[str]) -> None:
        """Forget entries."""
        if ids:
            self._breaker.check()
            await self._outbox.forget(Deleted(tuple(ids)))

    async def flush(self) -> None:
        """Forget everything."""
        self._breaker.check()
        await self._outbox.forget(Flushed())

    async def tail(self, position: Position) -> tuple[list[Change], Position]:
        """Return what happened after a position."""
        return await self._log.read(position)

    async def _ask(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        return await self._breaker.call(ask, self._options.write_timeout_s)

    async def _values(self, ids: Sequence[str]) -> list[bytes | None]:
        if len(ids) == 1:
            return [await self._client.get(self._keys.entry(ids[0]))]
        pipe = self._client.pipeline(transaction=False)
        for id_ in ids:
            pipe.get(self._keys.entry(id_))
        return list(await pipe.execute())

    async def _write(self, batch: list[Write]) -> None:
        part: list[Packed | Deleted] = []
        for write in batch:
            if isinstance(write, Flushed):
                await self._write_part(part)
                await self._flush()
                part = []
            else:
                part.append(write)
        await self._write_part(part)

    async def _write_part(self, part: list[Packed | Deleted]) -> None:
        """Write in the order that `RedisLog` relies on; each step is one trip to each server."""
        if not part:
            return
        now_s = time.time()
        before, entries, after = (self._client.pipeline(transaction=False) for _ in range(3))
        for write in part:
            match write:
                case Packed(record=record):
                    meta = record.meta
                    left_ms = int((meta.expires_s - now_s) * 1000)
                    if left_ms <= 0:
                        continue
                    listed = {to_member(meta.id): meta.expires_s * 1000}
                    before.zadd(self._keys.ids, listed)
                    value = write.meta + write.body
                    entries.set(self._keys.entry(meta.id), value, px=left_ms)
                    # Again: a flush between the two steps would leave the record unlisted.
                    after.zadd(self._keys.ids, listed)
                    self._tell(after, write.meta)
                case Deleted(ids):
                    for id_ in ids:
                        entries.execute_command("UNLINK", self._keys.entry(id_))
                    after.zrem(self._keys.ids, *map(to_member, ids))
                    self._tell(after, encode_change(write))
        after.zremrangebyscore(self._keys.ids, "-inf", now_s * 1000)
        for pipe in (before, entries, after):
            await self._ask(pipe.execute)

    async def _flush(self) -> None:
        while members := await self._ask(
            lambda: self._client.zrange(self._keys.ids, 0, _FLUSHED_AT_ONCE - 1)
        ):
            pipe = self._client.pipeline(transaction=False)
            for member in members:
                pipe.execute_command("UNLINK", self._keys.entry_of(member))
            await self._ask(pipe.execute)
            await self._ask(partial(self._client.zrem, self._keys.ids, *members))
        pipe = self._client.pipeline(transaction=False)
        self._tell(pipe, encode_change(Flushed()))
        await self._ask(pipe.execute)

    def _tell(self, pipe: Any, change: bytes) -> None:
        pipe.xadd(
            self._keys.log,
            {"change": change},
            maxlen=self._options.max_log,
            approximate=True,
        )


def _body(id_: str, value: bytes | None) -> Body | None:
    return None if value is None else decode_body(id_, value[first_frame_bytes(value) :])
