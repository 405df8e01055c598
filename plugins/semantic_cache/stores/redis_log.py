"""The log of a Redis store: a stream of changes, and the set of the ids that there are."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from plugins.semantic_cache.records import Change, Flushed, Inserted, Meta, Position
from plugins.semantic_cache.stores.codec import decode_change, decode_meta, first_frame_bytes
from plugins.semantic_cache.stores.log import MAX_CHANGES
from plugins.semantic_cache.stores.redis_keys import RedisKeys, to_id

T = TypeVar("T")

# Where a reader stands in the stream; and how far he is in the set, if he reads that first.
_FORM = re.compile(r"(\d{1,20}-\d{1,20})(?:/(\d{1,20}))?")
# A fetch that is enough for the meta of all but the widest embeddings.
_META_BYTES = 4_096
# Decoding keeps the event loop busy: some milliseconds for so many.
_SCANNED = 50


class RedisLog:
    """Reads what came and went.

    INVARIANT: an id is in the set before its record is kept, its record is kept before the stream
    tells of it, and it is gone before the stream tells that it went. So who remembers where the
    stream ends, reads the set, and then the stream from there, misses nothing.

    Args:
        client: of Redis.
        keys: of the store.
        ask: makes one call, with the deadline of a write.
    """

    def __init__(
        self,
        client: Any,
        keys: RedisKeys,
        ask: Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]],
    ) -> None:
        self._client = client
        self._keys = keys
        self._ask = ask

    async def read(self, position: Position) -> tuple[list[Change], Position]:
        """Return what happened after a position."""
        match = _FORM.fullmatch(position)
        if match is None:
            return await self._scan(await self._end(), 0, [Flushed()] if position else [])
        if match[2] is not None:
            return await self._scan(match[1], int(match[2]), [])
        lines = await self._ask(
            lambda: self._client.xrange(self._keys.log, match[1], "+", MAX_CHANGES + 1)
        )
        # The line that was read last is still there, or lines after it may be gone too.
        if not lines or lines[0][0] != match[1].encode():
            return await self._scan(await self._end(), 0, [Flushed()])
        found = (decode_change(fields.get(b"change", b"")) for _, fields in lines[1:])
        return [change for change in found if change is not None], lines[-1][0].decode()

    async def _end(self) -> str:
        """Return the stream's last line, of which it is given one if it has none."""
        lines = await self._ask(lambda: self._client.xrevrange(self._keys.log, count=1))
        if lines:
            return str(lines[0][0].decode())
        line = await self._ask(lambda: self._client.xadd(self._keys.log, {"begin": b""}))
        return str(line.decode())

    async def _scan(
        self, end: str, at: int, changes: list[Change]
    ) -> tuple[list[Change], Position]:
        """Read on in the set, as far as there is something."""
        while True:
            scan = partial(self._client.zscan, self._keys.ids, at, count=_SCANNED)
            at, members = await self._ask(scan)
            now_ms = time.time() * 1000
            ids = [to_id(member) for member, expires_ms in members if expires_ms > now_ms]
            metas = await self._metas([id_ for id_ in ids if id_ is not None])
            changes += [Inserted(meta) for meta in metas if meta is not None]
            if at == 0:
                return changes, end
            if changes:
                return changes, f"{end}/{at}"

    async def _metas(self, ids: Sequence[str]) -> list[Meta | None]:
        heads = await self._ranges(ids, [_META_BYTES] * len(ids))
        sizes = [first_frame_bytes(head) for head in heads]
        wide = [at for at, size in enumerate(sizes) if size > _META_BYTES]
        rest = await self._ranges([ids[at] for at in wide], [sizes[at] for at in wide])
        for at, whole in zip(wide, rest, strict=True):
            heads[at] = whole
        metas = [decode_meta(head[:size]) for head, size in zip(heads, sizes, strict=True)]
        return [
            meta if meta is not None and meta.id == id_ else None
            for meta, id_ in zip(metas, ids, strict=True)
        ]

    async def _ranges(self, ids: Sequence[str], sizes: Sequence[int]) -> list[bytes]:
        if not ids:
            return []
        pipe = self._client.pipeline(transaction=False)
        for id_, size in zip(ids, sizes, strict=True):
            pipe.getrange(self._keys.entry(id_), 0, size - 1)
        return list(await self._ask(pipe.execute))
