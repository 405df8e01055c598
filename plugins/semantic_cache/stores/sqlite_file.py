"""The file of the SQLite store: made, told from others', and moved aside when it is damaged."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from plugins.semantic_cache.stores.faults import UnusableStore
from plugins.semantic_cache.stores.log import fresh_log_id

APPLICATION_ID = 0x64436163
_SCHEMA_VERSION = 1
_SCHEMA = (
    "CREATE TABLE log (id TEXT NOT NULL, last INTEGER NOT NULL, forgotten INTEGER NOT NULL)",
    """CREATE TABLE entries (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE,
    expires_s REAL NOT NULL, meta BLOB NOT NULL, body BLOB NOT NULL)""",
    "CREATE INDEX entries_by_expiry ON entries (expires_s)",
    "CREATE TABLE deletions (seq INTEGER PRIMARY KEY, change BLOB NOT NULL)",
)
# Some two seconds at a start: 0.4 s for 200 MB that the system has in memory.
_CHECKED_BYTES = 1024 * 1024 * 1024


def open_file(path: str) -> int:
    """Make the file at a path usable, and hold it.

    A file of another program is left alone, and is an error. A damaged one of ours is moved aside
    to `PATH.damaged-TIME` and a new one made: a cache can be filled again. Only who has it for
    itself does that; who finds it damaged while others have it open gets an error.

    Returns:
        A descriptor that holds it until it is closed.

    Raises:
        UnusableStore: if it cannot be used.
    """
    try:
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UnusableStore(
            f"{path}: {error.strerror}; the store's folder must exist and be writable"
        ) from None
    try:
        is_alone = _lock(lock)
        try:
            _prepare(path, may_check=is_alone)
        except _Damaged as damaged:
            if not is_alone:
                raise UnusableStore(
                    f"{path}: {damaged}, and other processes use it; stop them, or remove it"
                ) from None
            _move_aside(path, str(damaged))
            _prepare(path, may_check=False)
        fcntl.flock(lock, fcntl.LOCK_SH)
    except (sqlite3.Error, OSError) as error:
        os.close(lock)
        raise UnusableStore(f"{path}: {error}; name another file, or remove this one") from None
    except BaseException:
        os.close(lock)
        raise
    return lock


def connect(path: str, busy_timeout_s: float) -> sqlite3.Connection:
    """Connect to a file that `open_file` holds.

    Raises:
        UnusableStore: if it cannot be opened any more.
    """
    try:
        return _configured(path, busy_timeout_s)
    except sqlite3.Error as error:
        raise UnusableStore(f"{path}: {error}; is its folder still writable?") from None


def _configured(path: str, busy_timeout_s: float) -> sqlite3.Connection:
    # One thread uses a connection, but not the one that closes it.
    connection = sqlite3.connect(
        path, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA journal_mode=WAL")
    # FULL: a batch is on the disk when its transaction is, so a lost host loses no more either.
    for pragma in ("synchronous=FULL", "trusted_schema=OFF", "cell_size_check=ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


class _Damaged(Exception):
    """The file is ours, and cannot be used."""


def _lock(lock: int) -> bool:
    """Wait for who prepares the file; say whether nobody else has it."""
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    fcntl.flock(lock, fcntl.LOCK_SH)
    return False


def _prepare(path: str, *, may_check: bool) -> None:
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with _connected(path) as connection:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        if application_id != APPLICATION_ID:
            if connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
                raise UnusableStore(
                    f"{path}: a database of something else; name another file for the store"
                )
            _create(connection)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != _SCHEMA_VERSION:
            raise _Damaged(f"written by another version (schema {version})")
        if may_check and os.path.getsize(path) <= _CHECKED_BYTES:  # noqa: PTH202 - in a thread
            _check(connection)


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
    for table in _SCHEMA:
        connection.execute(table)
    connection.execute("INSERT INTO log VALUES (?, 0, 0)", (fresh_log_id(),))
    connection.execute("COMMIT")


def _check(connection: sqlite3.Connection) -> None:
    try:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        (logs,) = connection.execute("SELECT count(*) FROM log").fetchone()
    except sqlite3.DatabaseError as error:
        raise _Damaged(str(error)) from None
    if found != "ok" or logs != 1:
        raise _Damaged("the database is damaged")


def _move_aside(path: str, why: str) -> None:
    import structlog  # noqa: PLC0415 - nothing to load where nothing fails

    aside = f"{path}.damaged-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.replace(path + suffix, aside + suffix)  # noqa: PTH105 - suffixes of one name
    structlog.get_logger().error("cache store begins anew", path=path, why=why, moved_to=aside)


@contextmanager
def _connected(path: str) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None)
    try:
        yield connection
    finally:
        connection.close()
