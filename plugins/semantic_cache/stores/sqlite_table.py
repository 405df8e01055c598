"""The statements of the SQLite store."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from plugins.semantic_cache.records import Body, Change, Deleted, Flushed, Position
from plugins.semantic_cache.stores.codec import (
    Packed,
    decode_body,
    decode_change,
    encode_change,
)
from plugins.semantic_cache.stores.log import MAX_CHANGES, Cursor
from plugins.semantic_cache.stores.outbox import Write

# What one batch cleans up at most, so that none takes long.
_SWEPT_ROWS = 1_000
_VACUUMED_PAGES = 256
_MOST_PARAMETERS = 500


class Writer:
    """Writes batches, each in one transaction.

    Args:
        connection: that nobody else uses.
        max_log: deletions that the log keeps.
    """

    def __init__(self, connection: sqlite3.Connection, max_log: int) -> None:
        self._connection = connection
        self._max_log = max_log

    def write(self, batch: Sequence[Write]) -> None:
        """Make a batch last; none of it does if it fails."""
        execute = self._connection.execute
        with _transaction(self._connection, "IMMEDIATE"):
            (seq,) = execute("SELECT last FROM log").fetchone()
            for write in batch:
                seq += 1
                match write:
                    case Packed():
                        self._insert(seq, write)
                    case Deleted(ids):
                        self._delete(seq, ids)
                    case Flushed():
                        execute("DELETE FROM entries")
                        execute("DELETE FROM deletions")
                        self._tell(seq, write)
            execute("UPDATE log SET last = ?", (seq,))
            self._clean_up()
        # Not `execute`, which stops this pragma after its first page.
        self._connection.executescript(f"PRAGMA incremental_vacuum({_VACUUMED_PAGES})")

    def _insert(self, seq: int, packed: Packed) -> None:
        meta = packed.record.meta
        row = (seq, _key(meta.id), meta.expires_s, packed.meta, packed.body)
        self._connection.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", row)

    def _delete(self, seq: int, ids: Sequence[str]) -> None:
        delete = "DELETE FROM entries WHERE id = ?"
        gone = [id_ for id_ in ids if self._connection.execute(delete, (_key(id_),)).rowcount]
        # Processes that evict alike delete the same entries: once is enough to tell.
        if gone:
            self._tell(seq, Deleted(tuple(gone)))

    def _tell(self, seq: int, change: Deleted | Flushed) -> None:
        self._connection.execute(
            "INSERT INTO deletions VALUES (?, ?)", (seq, encode_change(change))
        )

    def _clean_up(self) -> None:
        execute = self._connection.execute
        execute(
            "DELETE FROM entries WHERE seq IN"
            " (SELECT seq FROM entries WHERE expires_s <= ? LIMIT ?)",
            (time.time(), _SWEPT_ROWS),
        )
        oldest_kept = execute(
            "SELECT seq FROM deletions ORDER BY seq DESC LIMIT 1 OFFSET ?", (self._max_log,)
        ).fetchone()
        if oldest_kept is not None:
            execute("DELETE FROM deletions WHERE seq <= ?", oldest_kept)
            execute("UPDATE log SET forgotten = ?", oldest_kept)


class Reader:
    """Reads the log.

    Args:
        connection: that nobody else uses.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._at_end: tuple[int, Position] | None = None

    def read(self, position: Position) -> tuple[list[Change], Position]:
        """Return what happened after a position."""
        execute = self._connection.execute
        (version,) = execute("PRAGMA data_version").fetchone()
        if self._at_end == (version, position):
            return [], position
        changes: list[Change] = []
        with _transaction(self._connection, "DEFERRED"):
            log_id, last, forgotten = execute("SELECT id, last, forgotten FROM log").fetchone()
            cursor = Cursor.parse(position)
            if cursor is None or not cursor.reaches(log_id, forgotten):
                if position:
                    changes.append(Flushed())
                cursor = Cursor(log_id, 0, last)
            rows = self._rows_after(cursor)
        changes += [change for _, data in rows if (change := decode_change(data)) is not None]
        is_whole = len(rows) < MAX_CHANGES
        position = str(Cursor(log_id, last if is_whole else rows[-1][0], cursor.knows))
        # A change between the two questions is found next time: the version was asked for first.
        self._at_end = (version, position) if is_whole else None
        return changes, position

    def _rows_after(self, cursor: Cursor) -> list[tuple[int, bytes]]:
        return self._connection.execute(
            "SELECT seq, meta FROM entries WHERE seq > ?1 AND (seq > ?2 OR expires_s > ?3)"
            " UNION ALL SELECT seq, change FROM deletions WHERE seq > max(?1, ?2)"
            " ORDER BY seq LIMIT ?4",
            (cursor.seq, cursor.knows, time.time(), MAX_CHANGES),
        ).fetchall()


def select_bodies(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Body]:
    """Fetch the bodies that there are."""
    bodies: dict[str, Body] = {}
    for at in range(0, len(ids), _MOST_PARAMETERS):
        by_key = {_key(id_): id_ for id_ in ids[at : at + _MOST_PARAMETERS]}
        marks = ",".join("?" * len(by_key))
        rows = connection.execute(
            f"SELECT id, body FROM entries WHERE id IN ({marks}) AND expires_s > ?",  # noqa: S608
            (*by_key, time.time()),
        )
        for key, data in rows:
            if (body := decode_body(by_key[key], data)) is not None:
                bodies[by_key[key]] = body
    return bodies


def _key(id_: str) -> bytes:
    return id_.encode("utf-8", "surrogatepass")


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str) -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
