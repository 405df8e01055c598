"""The store in a process' own memory."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from plugins.semantic_cache.records import (
    Body,
    Change,
    Deleted,
    Flushed,
    Inserted,
    Position,
    Record,
)
from plugins.semantic_cache.stores.log import MAX_CHANGES, Cursor, fresh_log_id

# Expired records are let go of by the minute, a few with each new one: no sweep, no pause.
_BUCKET_S = 60.0
_EXPIRED_AT_ONCE = 64


class MemoryStore:
    """Keeps records for this process, and no longer than it lives.

    Args:
        max_log: deletions that the log keeps.
        clock: seconds since the epoch.
    """

    def __init__(self, *, max_log: int = 20_000, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._max_log = max_log
        self._log_id = fresh_log_id()
        self._records: dict[str, tuple[int, Record]] = {}
        # INVARIANT: an insertion stands in the log exactly while its record is kept.
        self._log: dict[int, Change] = {}
        self._last = 0
        self._deletions: deque[int] = deque()
        self._forgotten = 0
        self._due: dict[int, set[str]] = {}
        self._buckets: list[int] = []

    @property
    def is_shared(self) -> bool:
        """Whether other processes see it: they do not."""
        return False

    async def open(self) -> None:
        """Do nothing: it is there."""

    async def close(self) -> None:
        """Let go of everything."""
        self._forget()

    async def put(self, record: Record) -> None:
        """Keep a record."""
        self._expire()
        meta = record.meta
        self._drop(meta.id)
        self._records[meta.id] = (self._tell(Inserted(meta)), record)
        bucket = _bucket(meta.expires_s)
        if bucket not in self._due:
            self._due[bucket] = set()
            heapq.heappush(self._buckets, bucket)
        self._due[bucket].add(meta.id)

    async def get(self, ids: Sequence[str]) -> list[Body | None]:
        """Return bodies in the order of ids."""
        now = self._clock()
        found = (self._records.get(id_) for id_ in ids)
        return [
            entry[1].body if entry is not None and entry[1].meta.expires_s > now else None
            for entry in found
        ]

    async def delete(self, ids: Sequence[str]) -> None:
        """Forget entries."""
        known = tuple(id_ for id_ in ids if self._drop(id_))
        if not known:
            return
        self._deletions.append(self._tell(Deleted(known)))
        if len(self._deletions) > self._max_log:
            self._forgotten = self._deletions.popleft()
            del self._log[self._forgotten]

    async def flush(self) -> None:
        """Forget everything."""
        self._forget()
        self._deletions.append(self._tell(Flushed()))

    async def tail(self, position: Position) -> tuple[list[Change], Position]:
        """Return what happened after a position."""
        changes: list[Change] = []
        cursor = Cursor.parse(position)
        if cursor is None or not cursor.reaches(self._log_id, self._forgotten):
            if position:
                changes.append(Flushed())
            cursor = Cursor(self._log_id, 0, self._last)
        now = self._clock()
        seq = self._last
        for at in self._numbers_after(cursor.seq):
            change = self._log.get(at)
            if change is None or (at <= cursor.knows and _is_past(change, now)):
                continue
            if len(changes) >= MAX_CHANGES:
                seq = at - 1
                break
            changes.append(change)
        return changes, str(Cursor(self._log_id, seq, cursor.knows))

    def _numbers_after(self, seq: int) -> Iterable[int]:
        """Return the numbers to look at: the few that passed since, or all that the log has."""
        if self._last - seq <= len(self._log):
            return range(seq + 1, self._last + 1)
        return (at for at in self._log if at > seq)

    def _tell(self, change: Change) -> int:
        self._last += 1
        self._log[self._last] = change
        return self._last

    def _drop(self, id_: str) -> bool:
        entry = self._records.pop(id_, None)
        if entry is None:
            return False
        seq, record = entry
        del self._log[seq]
        self._due[_bucket(record.meta.expires_s)].discard(id_)
        return True

    def _forget(self) -> None:
        for held in (self._records, self._log, self._due, self._deletions, self._buckets):
            held.clear()

    def _expire(self) -> None:
        past = _bucket(self._clock())
        while self._buckets and self._buckets[0] < past:
            due = self._due[self._buckets[0]]
            for id_ in list(zip(due, range(_EXPIRED_AT_ONCE), strict=False)):
                self._drop(id_[0])
            if due:
                return
            del self._due[heapq.heappop(self._buckets)]


def _bucket(time_s: float) -> int:
    return int(time_s // _BUCKET_S)


def _is_past(change: Change, now_s: float) -> bool:
    """Say whether who reads from the beginning need not hear of it."""
    return not isinstance(change, Inserted) or change.meta.expires_s <= now_s
