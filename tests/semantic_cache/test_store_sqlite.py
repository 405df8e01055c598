"""The store in a file: its faults, and those of what wrote it."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import sqlite3
import stat
import sys
import time

import pytest
from structlog.testing import capture_logs

from plugins.semantic_cache.records import StoreUnavailable
from plugins.semantic_cache.stores import UnusableStore
from tests.support.stored import PATIENT, Follower, opened, record

_WRITES = """
import asyncio, sys, time
from tests.support.stored import opened, record

async def main():
    store = await opened(sys.argv[1])
    for n in range(100_000):
        each = record(f"{sys.argv[2]}{n:012x}", question=f"question {n}", answer=b"a" * (n % 5_000))
        await store.put(each)
        print(each.meta.id, flush=True)
        await asyncio.sleep(0.001)

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache.db"


def url(path):
    return f"sqlite://{path}"


@pytest.fixture
async def store(path):
    store = await opened(url(path))
    yield store
    await store.close()


def rows(path, statement):
    connection = sqlite3.connect(path)
    try:
        found = connection.execute(statement).fetchall()
        connection.commit()
        return found
    finally:
        connection.close()


async def eventually(holds, within_s=10.0):
    async with asyncio.timeout(within_s):
        while not holds():  # noqa: ASYNC110 - threads have no events
            await asyncio.sleep(0.01)


async def _killed_writer(path, run, after_s):
    """Let a process write, kill it, and return what it had handed over and when."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _WRITES, url(path), f"{run:04x}"), stdout=asyncio.subprocess.PIPE
    )
    handed = [((await process.stdout.readline()).decode().strip(), time.monotonic())]
    killed_at = handed[0][1] + after_s
    while (left_s := killed_at - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left_s):
                handed.append(
                    ((await process.stdout.readline()).decode().strip(), time.monotonic())
                )
        except TimeoutError:
            break
    process.kill()
    killed_at = time.monotonic()
    await process.wait()
    await process.communicate()
    return [(id_, killed_at - at) for id_, at in handed]


async def test_a_killed_process_loses_the_last_second_at_most_and_tears_nothing(path):
    chance = random.Random(6)
    kept, old = set(), 0
    for run, after_s in enumerate([0.0, 0.02, 0.1, 0.3, 1.3, chance.random()]):
        handed = await _killed_writer(path, run, after_s)
        store = await opened(url(path))
        follower = Follower(store)
        await follower.read()
        bodies = await store.get(list(follower.metas))
        await store.close()

        older = {id_ for id_, age_s in handed if age_s >= 1.0}
        old += len(older)
        assert kept | older <= set(follower.metas)
        for id_, body in zip(follower.metas, bodies, strict=True):
            n = int(id_[4:], 16)
            assert (body.question, body.answer) == (f"question {n}", b"a" * (n % 5_000))
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
        kept = set(follower.metas)
    assert old > 10


async def test_a_torn_row_is_no_entry(path, store):
    torn, whole = record(), record()
    await store.put(torn)
    await store.put(whole)
    await store.delete(["settle"])
    for column in ("meta", "body"):
        ((data,),) = rows(path, f"SELECT {column} FROM entries WHERE seq = 1")
        half = (data[: len(data) // 2]).hex()
        rows(path, f"UPDATE entries SET {column} = x'{half}' WHERE seq = 1")
    follower = Follower(store)
    await follower.read()

    assert set(follower.metas) == {whole.meta.id}
    assert await store.get([torn.meta.id, whole.meta.id]) == [None, whole.body]


async def test_bodies_that_were_swapped_are_served_to_nobody(path, store):
    one, two = record(question="of ann", tenant="ann"), record(question="of bob", tenant="bob")
    await store.put(one)
    await store.put(two)
    await store.delete(["settle"])
    (first,), (second,) = rows(path, "SELECT body FROM entries ORDER BY seq")
    rows(path, f"UPDATE entries SET body = x'{second.hex()}' WHERE seq = 1")
    rows(path, f"UPDATE entries SET body = x'{first.hex()}' WHERE seq = 2")

    assert await store.get([one.meta.id, two.meta.id]) == [None, None]


@pytest.mark.parametrize(
    "content", [b"a file of somebody's\n" * 100, b"SQLite format 3\0" + b"?" * 999]
)
async def test_a_file_that_is_no_database_is_left_alone(path, content):
    path.write_bytes(content)
    with pytest.raises(UnusableStore, match="name another file") as refused:
        await opened(url(path))

    assert str(path) in str(refused.value)
    assert path.read_bytes() == content


async def test_another_programs_database_is_left_alone(path):
    rows(path, "CREATE TABLE accounts (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(UnusableStore, match="something else"):
        await opened(url(path))

    assert path.read_bytes() == before


async def _damage(path):
    store = await opened(url(path))
    for _ in range(200):
        await store.put(record(answer=b"x" * 2_000))
    await store.close()
    data = bytearray(path.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 64] = b"\xff" * 64
    path.write_bytes(data)


async def test_a_damaged_file_is_moved_aside_and_a_new_one_made(path):
    await _damage(path)
    damaged = path.read_bytes()
    with capture_logs() as logs:
        store = await opened(url(path))
    kept = record()
    await store.put(kept)
    assert await store.get([kept.meta.id]) == [kept.body]
    await store.close()

    (aside,) = path.parent.glob("cache.db.damaged-*")
    assert aside.read_bytes() == damaged
    assert [(line["log_level"], line["path"]) for line in logs] == [("error", str(path))]


async def test_a_file_of_another_version_is_moved_aside(path):
    await (await opened(url(path))).close()
    rows(path, "PRAGMA user_version=99")
    store = await opened(url(path))
    await store.close()

    assert len(list(path.parent.glob("cache.db.damaged-*"))) == 1


async def test_a_file_that_others_use_is_never_moved_aside(path, store):
    rows(path, "PRAGMA user_version=99")
    with pytest.raises(UnusableStore, match="other processes use it"):
        await opened(url(path))

    assert list(path.parent.glob("*damaged*")) == []


async def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UnusableStore, match="nowhere"):
        await opened(f"sqlite://{tmp_path}/nowhere/cache.db")


async def test_a_folder_in_the_files_place_is_named(path):
    path.mkdir()
    with pytest.raises(UnusableStore, match=r"cache\.db"):
        await opened(url(path))


async def test_only_its_owner_can_read_the_file(path, store):
    await store.put(record())
    await store.delete(["settle"])

    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_writer_that_holds_the_file_stops_neither_readers_nor_the_loop(path, store):
    kept, later = record(), record()
    await store.put(kept)
    await store.delete(["settle"])
    follower = Follower(store)
    await follower.read()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    slowest_s = 0.0
    for _ in range(20):
        begun = time.monotonic()
        await store.put(record())
        assert await store.get([kept.meta.id]) == [kept.body]
        slowest_s = max(slowest_s, time.monotonic() - begun)
    holder.execute("ROLLBACK")
    holder.close()
    await store.put(later)
    await follower.until(lambda: later.meta.id in follower.metas)

    assert slowest_s < 1.0


async def test_a_full_disk_costs_what_is_new_and_nothing_else(path):
    lost = []
    options = dataclasses.replace(PATIENT, on_lost=lost.append, max_failures=1, retry_after_s=0.01)
    store = await opened(url(path), options)
    kept = record()
    await store.put(kept)
    await store.delete(["settle"])
    store._connections["write"].execute("PRAGMA max_page_count=1")
    for _ in range(20):
        await store.put(record(answer=b"x" * 20_000))
    await eventually(lambda: sum(lost) == 20)
    with pytest.raises(StoreUnavailable):
        await store.put(record())
    store._connections["write"].execute("PRAGMA max_page_count=1000000")
    again = record()
    await _accepted(store, again)

    assert await store.get([kept.meta.id, again.meta.id]) == [kept.body, again.body]
    await store.close()


async def _accepted(store, each):
    async with asyncio.timeout(10):
        while True:
            try:
                return await store.put(each)
            except StoreUnavailable:
                await asyncio.sleep(0.02)


async def test_expired_rows_and_old_deletions_are_swept_from_the_file(path):
    store = await opened(url(path), dataclasses.replace(PATIENT, max_log=5))
    for _ in range(30):
        await store.put(record(ttl_s=0.001))
    for n in range(20):
        await store.put(record(str(n)))
        await store.delete([str(n), "unknown"])
        await store.delete([str(n)])
    await store.close()

    assert rows(path, "SELECT count(*) FROM entries") == [(0,)]
    assert rows(path, "SELECT count(*) FROM deletions") == [(5,)]


async def test_a_file_shrinks_when_its_entries_are_gone(path, store):
    for _ in range(300):
        await store.put(record(answer=b"x" * 10_000))
    await store.delete(["settle"])
    (large,) = rows(path, "PRAGMA page_count")[0]
    await store.flush()
    for n in range(10):
        await store.delete([str(n)])

    assert rows(path, "PRAGMA page_count")[0][0] < large / 2


async def test_a_deleted_file_of_a_running_store_raises_nothing_else(path, store):
    await store.put(record())
    path.unlink()
    kept = record()
    await _accepted(store, kept)
    assert await store.get([kept.meta.id]) == [kept.body]
