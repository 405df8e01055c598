"""What every store does."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import secrets
import sys
import time
from contextlib import asynccontextmanager

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.semantic_cache.records import Deleted, Flushed, Inserted
from tests.support.redis import free_port, running_cluster, running_redis, running_sentinel
from tests.support.stored import PATIENT, Follower, opened, record, same_meta

SHARED = ["sqlite", "redis", "sentinel", "cluster"]
ALL = ["memory", *SHARED]


@pytest.fixture(scope="module")
def redis():
    with running_redis() as server:
        yield server.url


@pytest.fixture(scope="module")
def sentinel():
    with running_redis(port=free_port()) as server, running_sentinel(server) as sentinel:
        yield f"redis+sentinel://127.0.0.1:{sentinel.port}/main"


@pytest.fixture(scope="module")
def cluster():
    with running_cluster() as server:
        yield f"redis+cluster://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory):
    return f"sqlite://{tmp_path_factory.mktemp('store')}/cache.db"


@pytest.fixture(scope="module")
def memory():
    return "memory"


class Place:
    """Where stores of one cache are opened; they are closed when the test ends."""

    def __init__(self, url):
        self.url = url
        self.options = dataclasses.replace(PATIENT, namespace=secrets.token_hex(6))
        self._opened = []

    async def open(self, **options):
        store = await opened(self.url, dataclasses.replace(self.options, **options))
        self._opened.append(store)
        return store

    async def close(self):
        for store in self._opened:
            await store.close()


@asynccontextmanager
async def a_place(url):
    place = Place(url)
    try:
        yield place
    finally:
        await place.close()


@pytest.fixture(params=ALL)
async def place(request):
    async with a_place(request.getfixturevalue(request.param)) as place:
        yield place


@pytest.fixture(params=SHARED)
async def shared(request):
    async with a_place(request.getfixturevalue(request.param)) as place:
        yield place


async def ids_of(store):
    follower = Follower(store)
    await follower.read()
    return set(follower.metas)


async def test_a_body_is_fetched_by_its_id(place):
    store = await place.open()
    one, two = record(question="one", answer=b"\x00\xff"), record(question="two")
    await store.put(one)
    await store.put(two)

    assert await store.get([two.meta.id, "0" * 16, one.meta.id]) == [two.body, None, one.body]
    assert await store.get([]) == []


async def test_the_log_tells_all_that_is_known_of_an_entry(place):
    store = await place.open()
    with_vector, without = record(), record(vector=None, embedder="", tags=())
    await store.put(with_vector)
    await store.put(without)
    follower = Follower(store)
    await follower.until(lambda: len(follower.metas) == 2)

    for meta in (with_vector.meta, without.meta):
        assert same_meta(meta, follower.metas[meta.id])


async def test_an_entry_of_the_same_id_is_replaced(place):
    store = await place.open()
    old = record(question="old")
    new = record(old.meta.id, question="new", model="other")
    follower = Follower(store)
    await store.put(old)
    await follower.until(lambda: follower.metas)
    await store.put(new)
    await follower.until(lambda: follower.metas[new.meta.id].model == "other")

    assert await store.get([new.meta.id]) == [new.body]
    assert await ids_of(store) == {new.meta.id}


async def test_a_deleted_entry_is_gone_and_the_log_says_so(place):
    store = await place.open()
    one, two = record(), record()
    follower = Follower(store)
    await store.put(one)
    await store.put(two)
    await follower.until(lambda: len(follower.metas) == 2)
    await store.delete([one.meta.id, "unknown"])

    assert await store.get([one.meta.id, two.meta.id]) == [None, two.body]
    await follower.read()
    assert set(follower.metas) == {two.meta.id}


async def test_deleting_what_is_not_there_is_no_error(place):
    store = await place.open()
    await store.delete(["unknown", "\ud800", ""])
    await store.delete([])

    assert await store.get(["unknown", "\ud800", ""]) == [None, None, None]
    assert await ids_of(store) == set()


async def test_an_entry_that_was_just_put_can_be_deleted(place):
    store = await place.open()
    records = [record() for _ in range(20)]
    for each in records:
        await store.put(each)
        await store.delete([each.meta.id])
        assert await store.get([each.meta.id]) == [None]

    assert await ids_of(store) == set()


async def test_a_flush_forgets_everything_and_the_log_says_so(place):
    store = await place.open()
    before, after = [record() for _ in range(5)], record()
    for each in before:
        await store.put(each)
    follower = Follower(store)
    await follower.until(lambda: len(follower.metas) == 5)
    await store.flush()

    assert await store.get([each.meta.id for each in before]) == [None] * 5
    await follower.until(lambda: follower.flushes)
    assert not follower.metas
    await store.put(after)
    await follower.until(lambda: follower.metas)
    assert set(follower.metas) == await ids_of(store) == {after.meta.id}


async def test_an_expired_entry_is_not_there(place):
    store = await place.open()
    brief, lasting = record(ttl_s=0.3), record()
    await store.put(brief)
    await store.put(lasting)
    async with asyncio.timeout(5):
        while (await store.get([brief.meta.id]))[0] is not None:  # noqa: ASYNC110 - a clock
            await asyncio.sleep(0.01)

    assert brief.meta.expires_s - 0.05 < time.time() < brief.meta.expires_s + 2
    assert await store.get([brief.meta.id, lasting.meta.id]) == [None, lasting.body]
    follower = Follower(store)
    await follower.until(lambda: follower.metas)
    assert set(follower.metas) == {lasting.meta.id}


async def test_who_reads_from_the_beginning_hears_of_insertions_only(place):
    store = await place.open()
    records = [record() for _ in range(6)]
    for each in records[:3]:
        await store.put(each)
    await store.flush()
    for each in records[3:]:
        await store.put(each)
    await store.delete([records[3].meta.id])
    await store.delete(["unknown"])
    follower = Follower(store)
    changes = await follower.read()

    assert all(isinstance(change, Inserted) for change in changes)
    assert set(follower.metas) == {each.meta.id for each in records[4:]}


@pytest.mark.parametrize(
    "position", ["nonsense", "0-1", "0123456789abcdef.3.3", "9" * 400, "1-1/5x", "\ud800"]
)
async def test_a_position_that_no_log_knows_begins_anew(place, position):
    store = await place.open()
    kept = record()
    await store.put(kept)
    follower = Follower(store)
    await follower.until(lambda: follower.metas)
    follower.position = position
    changes = await follower.read()

    assert changes[0] == Flushed()
    assert changes.count(Flushed()) == 1
    assert set(follower.metas) == {kept.meta.id}


async def test_a_reader_whose_place_in_the_log_was_dropped_begins_anew(place):
    store = await place.open(max_log=10)
    kept = [record() for _ in range(3)]
    gone = record()
    behind = Follower(store)
    for each in (*kept, gone):
        await store.put(each)
    await behind.until(lambda: len(behind.metas) == 4)
    await store.delete([gone.meta.id])
    # A stream is trimmed by the hundred.
    for _ in range(260):
        each = record()
        await store.put(each)
        await store.delete([each.meta.id])
    changes = await behind.read()

    assert changes[0] == Flushed()
    assert behind.flushes == 1
    assert set(behind.metas) == {each.meta.id for each in kept}


async def test_thousands_of_entries_are_read_in_parts_and_none_is_missed(place):
    store = await place.open()
    ids = set()
    for _ in range(3_000):
        each = record(dimension=4)
        ids.add(each.meta.id)
        await store.put(each)
    away = set(list(ids)[:700])
    await store.delete(sorted(away))
    follower = Follower(store)
    sizes = []
    while True:
        changes, follower.position = await store.tail(follower.position)
        if not changes:
            break
        sizes.append(len(changes))
        for change in changes:
            follower._apply(change)

    assert set(follower.metas) == ids - away
    bodies = await store.get(sorted(ids))
    assert [body is not None for body in bodies] == [id_ not in away for id_ in sorted(ids)]
    assert len(sizes) > 1
    assert max(sizes) <= 2_000


async def test_what_happens_while_somebody_reads_from_the_beginning_is_not_lost(place):
    store = await place.open()
    ids = []
    for _ in range(2_500):
        each = record(dimension=4)
        ids.append(each.meta.id)
        await store.put(each)
    await store.delete([ids[0]])
    follower = Follower(store)
    step, added = 0, []
    while True:
        changes, follower.position = await store.tail(follower.position)
        for change in changes:
            follower._apply(change)
        if step < 4:
            await store.delete([ids[step * 600 + 1], ids[-step - 1]])
            added.append(record())
            await store.put(added[-1])
            step += 1
        elif not changes:
            break
    missing = {ids[0]} | {ids[n * 600 + 1] for n in range(4)} | {ids[-n - 1] for n in range(4)}
    expected = set(ids) - missing | {each.meta.id for each in added}
    await follower.until(lambda: set(follower.metas) == expected)


async def test_a_wide_embedding_comes_back_whole(place):
    store = await place.open()
    wide = record(dimension=4_096)
    await store.put(wide)
    follower = Follower(store)
    await follower.until(lambda: follower.metas)

    fresh = Follower(await place.open() if store.is_shared else store)
    await fresh.until(lambda: fresh.metas)
    assert same_meta(wide.meta, fresh.metas[wide.meta.id])


async def test_a_cancelled_call_leaves_the_store_as_good_as_before(place):
    store = await place.open()
    records = [record(question=str(n)) for n in range(30)]
    for each in records:
        await store.put(each)
    for n, each in enumerate(records):
        calls = [
            asyncio.ensure_future(store.get([each.meta.id])),
            asyncio.ensure_future(store.tail("")),
            asyncio.ensure_future(store.delete(["unknown"])),
        ]
        for _ in range(n % 7):
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    for each in records:
        assert await store.get([each.meta.id]) == [each.body]


async def test_no_call_blocks_the_event_loop(place):
    with blockbuster_ctx("plugins.semantic_cache.stores"):
        store = await place.open()
        each = record()
        await store.put(each)
        await store.get([each.meta.id, "unknown"])
        await store.delete(["unknown"])
        await store.tail("")
        await store.tail("nonsense")
        await store.flush()
        await store.close()
    place._opened.clear()


async def test_two_handles_see_each_others_changes(shared):
    one, two = await shared.open(), await shared.open()
    ours, theirs = record(), record()
    followers = [Follower(one), Follower(two)]
    await one.put(ours)
    await two.put(theirs)
    for follower in followers:
        await follower.until(lambda f=follower: len(f.metas) == 2)
    assert await one.get([theirs.meta.id]) == [theirs.body]
    await one.delete([theirs.meta.id])
    assert await two.get([theirs.meta.id]) == [None]
    for follower in followers:
        await follower.read()
        assert set(follower.metas) == {ours.meta.id}


async def test_two_namespaces_never_see_each_other(shared):
    one, two = await shared.open(), await shared.open(namespace="other")
    ours = record()
    await one.put(ours)
    follower = Follower(one)
    await follower.until(lambda: follower.metas)

    assert await two.get([ours.meta.id]) == [None]
    assert await ids_of(two) == set()
    await two.flush()
    assert await one.get([ours.meta.id]) == [ours.body]


async def test_what_was_kept_is_there_after_a_restart(shared):
    kept = [record() for _ in range(50)]
    store = await shared.open()
    follower = Follower(store)
    for each in kept:
        await store.put(each)
    await store.close()
    shared._opened.clear()
    again = await shared.open()

    assert await again.get([each.meta.id for each in kept]) == [each.body for each in kept]
    follower.store = again
    changes = await follower.read()
    assert Flushed() not in changes
    assert set(follower.metas) == {each.meta.id for each in kept}


_INSERTS = """
import asyncio, dataclasses, sys
from tests.support.stored import PATIENT, opened, record

async def main():
    store = await opened(sys.argv[1], dataclasses.replace(PATIENT, namespace=sys.argv[2]))
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        await store.put(record(line.strip()))
        print("put", flush=True)
    await store.close()

asyncio.run(main())
"""


async def test_an_insert_of_another_process_is_seen_within_a_second(shared):
    store = await shared.open()
    follower = Follower(store)
    await follower.read()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _INSERTS, shared.url, shared.options.namespace),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert await process.stdout.readline() == b"ready\n"
    waits = []
    for n in range(5):
        id_ = f"{n:016x}"
        process.stdin.write(id_.encode() + b"\n")
        assert await process.stdout.readline() == b"put\n"
        begun = time.monotonic()
        await follower.until(lambda id_=id_: id_ in follower.metas)
        waits.append(time.monotonic() - begun)
    process.stdin.close()

    assert await process.wait() == 0
    assert sorted(waits)[2] < 1.0


@pytest.mark.parametrize("seed", range(2))
async def test_handles_that_write_at_the_same_time_agree_in_the_end(shared, seed):
    stores = [await shared.open(), await shared.open()]
    followers = [Follower(store) for store in stores]
    ids = []

    async def work(number):
        chance = random.Random(2 * seed + number)
        for _ in range(60):
            match chance.choice(["put", "put", "delete", "read"]):
                case "put":
                    each = record()
                    ids.append(each.meta.id)
                    await stores[number].put(each)
                case "delete" if followers[number].metas:
                    known = sorted(followers[number].metas)
                    await stores[number].delete(chance.sample(known, min(2, len(known))))
                case _:
                    await followers[number].read()

    await asyncio.gather(work(0), work(1))
    for store in stores:
        await store.delete(["settle"])
    there = await ids_of(stores[0])
    bodies = await stores[1].get(ids)

    assert {id_ for id_, body in zip(ids, bodies, strict=True) if body is not None} == there
    for follower in followers:
        await follower.read()
        assert set(follower.metas) == there


_IDS = [f"{n:016x}" for n in range(6)]
_OPERATIONS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.one_of(
            st.sampled_from(_IDS),
            st.lists(st.sampled_from(_IDS), max_size=3),
            st.sampled_from(["flush", "read", "restart reading"]),
        ),
    ),
    max_size=25,
)


@pytest.mark.parametrize("kind", ["memory", "sqlite", "redis", "cluster"])
def test_every_handles_replayed_log_equals_what_is_there(kind, request):
    url = request.getfixturevalue(kind)

    @settings(max_examples=40)
    @given(_OPERATIONS)
    def check(operations):
        asyncio.run(_replay(url, operations))

    check()


async def _replay(url, operations):
    """Each write is made to last before the next, so that there is one truth."""
    async with a_place(url) as place:
        one = await place.open()
        stores = (one, await place.open() if one.is_shared else one)
        followers = [Follower(store) for store in stores]
        truth = {}
        for at, what in operations:
            match what:
                case "flush":
                    await stores[at].flush()
                    truth.clear()
                case "read":
                    await followers[at].read()
                case "restart reading":
                    followers[at] = Follower(stores[at])
                case str():
                    truth[what] = record(what, question=secrets.token_hex(4))
                    await stores[at].put(truth[what])
                    await stores[at].delete(["settle"])
                case _:
                    await stores[at].delete(what)
                    for id_ in what:
                        truth.pop(id_, None)
        for store, follower in zip(stores, followers, strict=True):
            changes = await follower.read()
            assert all(isinstance(change, Inserted | Deleted | Flushed) for change in changes)
            assert follower.metas.keys() == truth.keys()
            for id_, known in truth.items():
                assert same_meta(known.meta, follower.metas[id_])
            expected = [truth[id_].body if id_ in truth else None for id_ in _IDS]
            assert await store.get(_IDS) == expected
