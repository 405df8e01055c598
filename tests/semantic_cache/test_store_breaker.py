"""The circuit breaker before a store, and the outbox behind it."""

from __future__ import annotations

import asyncio

import pytest

from plugins.semantic_cache.records import Deleted, Flushed, StoreUnavailable
from plugins.semantic_cache.stores import StoreOptions
from plugins.semantic_cache.stores.breaker import Breaker
from plugins.semantic_cache.stores.codec import pack
from plugins.semantic_cache.stores.outbox import Outbox
from tests.support.stored import record


class Server:
    """Something to ask that can be broken, and a clock."""

    def __init__(self, **options):
        self.now_s = 0.0
        self.is_broken = False
        self.asked = self.probed = 0
        self.said = []
        self.breaker = Breaker(
            "store:1",
            failures=(ConnectionError,),
            probe=self.probe,
            options=StoreOptions(
                max_failures=3, retry_after_s=1, on_available=self.said.append, **options
            ),
            clock=lambda: self.now_s,
            spread=lambda: 0.5,
        )

    async def answer(self):
        self.asked += 1
        if self.is_broken:
            raise ConnectionError("refused for canary")
        return "yes"

    async def probe(self):
        self.probed += 1
        await self.answer()

    async def call(self):
        return await self.breaker.call(self.answer, 1)

    async def fail(self, times):
        self.is_broken = True
        for _ in range(times):
            with pytest.raises(StoreUnavailable) as refused:
                await self.call()
            assert "canary" not in str(refused.value)
            assert str(refused.value).startswith("store:1: ")


async def settled():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_it_opens_after_failures_in_a_row():
    server = Server()
    await server.fail(2)
    server.is_broken = False
    assert await server.call() == "yes"
    await server.fail(3)
    asked = server.asked
    await server.fail(5)

    assert server.breaker.is_open
    assert server.asked == asked
    assert server.said == [0]


async def test_a_probe_that_succeeds_closes_it():
    server = Server()
    await server.fail(3)
    server.now_s = 1.05
    await server.fail(1)
    await settled()
    assert server.probed == 0
    server.now_s = 1.2
    server.is_broken = False
    with pytest.raises(StoreUnavailable):
        await server.call()
    await settled()

    assert server.probed == 1
    assert await server.call() == "yes"
    assert server.said == [0, 1]


async def test_probes_that_fail_come_at_longer_intervals():
    server = Server()
    await server.fail(3)
    pauses = []
    for _ in range(8):
        begun, probed = server.now_s, server.probed
        while server.probed == probed:
            server.now_s += 0.1
            await server.fail(1)
            await settled()
        pauses.append(server.now_s - begun)

    assert pauses[:4] == pytest.approx([1.1, 2.2, 4.4, 8.8], abs=0.25)
    assert max(pauses) < 34


async def test_a_call_that_takes_too_long_is_a_failure():
    server = Server()

    async def never():
        await asyncio.Event().wait()

    for _ in range(3):
        with pytest.raises(StoreUnavailable, match=r"no answer in 0\.001 s"):
            await server.breaker.call(never, 0.001)
    assert server.breaker.is_open


async def test_a_cancelled_call_is_no_failure():
    server = Server()
    for _ in range(5):
        call = asyncio.create_task(server.breaker.call(asyncio.Event().wait, 10))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert not server.breaker.is_open


async def test_what_is_no_failure_of_the_server_is_raised_as_it_is():
    server = Server()

    async def wrong():
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await server.breaker.call(wrong, 1)


async def test_closing_ends_a_probe_under_way():
    server = Server()
    await server.fail(3)
    server.now_s = 2
    server.answer = asyncio.Event().wait
    with pytest.raises(StoreUnavailable):
        await server.call()
    await settled()
    await server.breaker.close()


class Written:
    """A writer that can be held up, and made to fail."""

    def __init__(self, **options):
        self.batches = []
        self.go = asyncio.Event()
        self.go.set()
        self.error = None
        self.lost = []
        options = StoreOptions(on_lost=self.lost.append, **{"write_timeout_s": 5, **options})
        self.outbox = Outbox("store:1", self._write, options, max_batch=100)

    async def _write(self, batch):
        await self.go.wait()
        if self.error is not None:
            raise self.error
        self.batches.append(batch)

    async def __aenter__(self):
        self.outbox.start()
        return self

    async def __aexit__(self, *_):
        await self.outbox.close()


async def test_what_comes_while_a_batch_is_written_is_the_next_batch_in_its_order():
    async with Written() as written:
        records = [pack(record()) for _ in range(5)]
        written.go.clear()
        await written.outbox.put(records[0])
        await settled()
        for each in records[1:]:
            await written.outbox.put(each)
        written.go.set()
        await written.outbox.forget(Deleted(("x",)))

    assert written.batches == [[records[0]], [*records[1:], Deleted(("x",))]]


async def test_who_handed_over_sees_it_before_it_is_written():
    async with Written() as written:
        kept, deleted = record(), record()
        written.go.clear()
        await written.outbox.put(pack(kept))
        await written.outbox.put(pack(deleted))
        gone = asyncio.create_task(written.outbox.forget(Deleted((deleted.meta.id,))))
        await settled()
        assert written.outbox.waiting(kept.meta.id) == (kept.body,)
        assert written.outbox.waiting(deleted.meta.id) == (None,)
        flushed = asyncio.create_task(written.outbox.forget(Flushed()))
        await settled()
        assert written.outbox.waiting(kept.meta.id) == (None,)
        written.go.set()
        await asyncio.gather(gone, flushed)

        assert written.outbox.waiting(kept.meta.id) is None
        assert written.outbox._latest == {}


async def test_what_could_not_be_written_is_counted_and_who_waits_hears_of_it():
    async with Written() as written:
        written.error = StoreUnavailable("store:1: gone")
        await written.outbox.put(pack(record()))
        await written.outbox.put(pack(record()))
        with pytest.raises(StoreUnavailable):
            await written.outbox.forget(Flushed())
        assert sum(written.lost) == 2
        written.error = None
        await written.outbox.put(pack(record()))
        await written.outbox.forget(Deleted(("x",)))

        assert written.outbox._size_bytes == 0


async def test_without_room_a_put_waits_and_then_fails():
    async with Written(max_waiting_bytes=1_000, write_timeout_s=0.05) as written:
        written.go.clear()
        await written.outbox.put(pack(record(answer=b"x" * 2_000)))
        with pytest.raises(StoreUnavailable, match="keep up"):
            await written.outbox.put(pack(record()))
        waiting = asyncio.create_task(written.outbox.put(pack(record())))
        await settled()
        written.go.set()
        await waiting


async def test_a_cancelled_wait_for_a_deletion_leaves_the_deletion():
    async with Written() as written:
        written.go.clear()
        call = asyncio.create_task(written.outbox.forget(Deleted(("x",))))
        await settled()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        written.go.set()

    assert written.batches == [[Deleted(("x",))]]


async def test_closing_writes_what_there_is_or_counts_it():
    async with Written() as written:
        await written.outbox.put(pack(record()))
    assert len(written.batches) == 1

    async with Written(write_timeout_s=0.02) as stuck:
        stuck.go.clear()
        await stuck.outbox.put(pack(record()))
        await stuck.outbox.put(pack(record()))
    assert sum(stuck.lost) == 2
