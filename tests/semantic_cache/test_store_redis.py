"""The store in Redis: its faults, and those of the way to it."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import secrets
import socket
import ssl
import time
from contextlib import asynccontextmanager, suppress

import pytest
from redis.asyncio import Redis

from plugins.semantic_cache.records import Deleted, Flushed, StoreUnavailable
from plugins.semantic_cache.stores import StoreOptions, codec, make_store
from tests.support.certs import OPENSSL, found, issue
from tests.support.proxy import proxy_to
from tests.support.redis import free_port, running_redis, running_sentinel
from tests.support.stored import PATIENT, Follower, opened, record

_SECRET = "s3cr3t-w0rd"
_QUICK = StoreOptions(get_timeout_s=0.05, write_timeout_s=0.2, retry_after_s=0.05)


@pytest.fixture(scope="module")
def server():
    with running_redis() as server:
        yield server


@pytest.fixture
def options():
    return dataclasses.replace(PATIENT, namespace=secrets.token_hex(6))


@asynccontextmanager
async def a_store(url, options):
    store = await opened(url, options)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def a_store_behind_a_proxy(server, options):
    async with (
        proxy_to(server.target) as proxy,
        a_store(f"redis://{proxy.address}", options) as store,
    ):
        yield proxy, store


@asynccontextmanager
async def a_client(server):
    client = Redis(unix_socket_path=server.socket_path)
    try:
        yield client
    finally:
        await client.aclose()


async def kept(store, count=1, **known):
    """Put records, and wait until they are written."""
    records = [record(question=f"question {n}", **known) for n in range(count)]
    for each in records:
        await store.put(each)
    await store.delete(["settle"])
    return records


async def succeeds(call, within_s=10.0):
    """Call until the store is available."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                return await call()
            except StoreUnavailable:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("seed", range(3))
async def test_a_cancelled_fetch_never_leaves_its_reply_to_another_tenant(server, options, seed):
    chance = random.Random(seed)
    options = dataclasses.replace(options, max_connections=4)
    async with a_store_behind_a_proxy(server, options) as (proxy, store):
        records = [
            *await kept(store, 10, tenant="ann"),
            *await kept(store, 10, tenant="bob"),
        ]
        proxy.down.delay_s = 0.002
        outcomes = {"served": 0, "cancelled": 0}

        async def fetch(is_cancelled):
            asked = chance.sample(records, chance.choice([1, 1, 3]))
            call = asyncio.create_task(store.get([each.meta.id for each in asked]))
            if is_cancelled:
                await asyncio.sleep(chance.random() * 0.02)
                call.cancel()
            try:
                bodies = await call
            except asyncio.CancelledError:
                outcomes["cancelled"] += 1
                return
            assert bodies == [each.body for each in asked]
            outcomes["served"] += 1

        for _ in range(15):
            await asyncio.gather(*(fetch(n % 2 == 0) for n in range(20)))

        assert outcomes["cancelled"] > 50
        assert outcomes["served"] > 150


async def test_a_late_reply_is_nobodys(server, options):
    late = dataclasses.replace(options, get_timeout_s=0.01, max_failures=10**9, max_connections=2)
    async with a_store_behind_a_proxy(server, late) as (proxy, store):
        records = await kept(store, 20)
        served = refused = 0
        for n in range(200):
            proxy.down.delay_s = 0.0 if n % 3 else 0.02
            each = records[n % 20]
            try:
                assert await store.get([each.meta.id]) == [each.body]
                served += 1
            except StoreUnavailable:
                refused += 1

        assert served > 20
        assert refused > 20


async def test_another_entrys_value_under_a_key_is_no_entry(server, options):
    async with a_store(server.url, options) as store, a_client(server) as client:
        one, two = await kept(store, 2)
        keys = store._keys
        await client.copy(keys.entry(one.meta.id), keys.entry(two.meta.id), replace=True)

        assert await store.get([one.meta.id, two.meta.id]) == [one.body, None]
        follower = Follower(store)
        await follower.read()
        assert set(follower.metas) == {one.meta.id}


@pytest.mark.parametrize("value", [b"", b"foreign", b"\x80\x04N.", b"dC" + b"\xff" * 60])
async def test_a_foreign_value_is_no_entry(server, options, value):
    async with a_store(server.url, options) as store, a_client(server) as client:
        (each,) = await kept(store)
        follower = Follower(store)
        await follower.read()
        await client.set(store._keys.entry(each.meta.id), value)
        await client.xadd(store._keys.log, {"change": value})
        await client.xadd(store._keys.log, {"other": value})
        await client.zadd(store._keys.ids, {value: 9e15})

        assert await store.get([each.meta.id]) == [None]
        assert await follower.read() == []
        follower.position = ""
        assert await follower.read() == []


async def test_a_torn_value_is_no_entry(server, options):
    async with a_store(server.url, options) as store, a_client(server) as client:
        (each,) = await kept(store)
        key = store._keys.entry(each.meta.id)
        whole = await client.get(key)
        for cut in range(0, len(whole), 7):
            await client.set(key, whole[:cut])
            assert await store.get([each.meta.id]) == [None]


async def test_every_key_is_under_the_prefix_and_every_entry_expires(server, options):
    async with a_store(server.url, options) as store, a_client(server) as client:
        await kept(store, 3, ttl_s=100)
        keys = [key async for key in client.scan_iter(match=f"*{options.namespace}*")]
        entries = [key for key in keys if b"{" not in key]

        assert all(key.startswith(b"dragoman:cache:") for key in keys)
        assert len(entries) == 3
        for key in entries:
            assert 90_000 < await client.pttl(key) <= 100_000
        await store.flush()
        left = [key async for key in client.scan_iter(match=f"*{options.namespace}*")]
        assert left == [store._keys.log.encode()]


async def test_ids_of_expired_entries_do_not_pile_up(server, options):
    async with a_store(server.url, options) as store, a_client(server) as client:
        await kept(store, 20, ttl_s=0.3)
        await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            while await client.zcard(store._keys.ids):
                await kept(store, 0)

    assert server.command("PING").startswith(b"+PONG")


async def test_a_server_that_is_down_at_first_is_used_when_it_comes(options):
    options = dataclasses.replace(_QUICK, namespace=options.namespace)
    with running_redis() as server:
        server.kill()
        async with a_store(server.url, options) as store:
            for _ in range(8):
                with pytest.raises(StoreUnavailable):
                    await store.get(["a"])
            server.start()
            assert await succeeds(lambda: store.get(["a"])) == [None]
            (each,) = await succeeds(lambda: kept(store))
            assert await succeeds(lambda: store.get([each.meta.id])) == [each.body]


async def test_a_server_that_lost_everything_is_a_flush(options):
    with running_redis() as server:
        async with a_store(server.url, options) as store:
            await kept(store, 3)
            follower = Follower(store)
            await follower.read()
            server.kill()
            server.start()
            (new,) = await succeeds(lambda: kept(store))
            await succeeds(follower.read)

            assert follower.flushes >= 1
            assert set(follower.metas) == {new.meta.id}


async def test_another_server_that_the_sentinels_chose_is_used(options):
    options = dataclasses.replace(_QUICK, namespace=options.namespace, write_timeout_s=0.5)
    with running_redis(port=free_port()) as first:
        replica = f"replicaof 127.0.0.1 {first.port}"
        with running_redis(port=free_port(), settings=(replica,)) as second:
            await _until(lambda: b"master_link_status:up" in second.command("INFO", "replication"))
            with running_sentinel(first) as sentinel:
                url = f"redis+sentinel://127.0.0.1:{sentinel.port}/main"
                await _fail_over(url, options, first, second, sentinel)


async def _fail_over(url, options, first, second, sentinel):
    async with a_store(url, options) as store:
        (each,) = await succeeds(lambda: kept(store))
        follower = Follower(store)
        await succeeds(follower.read)
        key = store._keys.entry(each.meta.id).decode()
        port = str(second.port).encode()
        await _until(lambda: port in sentinel.command("SENTINEL", "replicas", "main"))
        await _until(lambda: second.command("EXISTS", key) == b":1\r\n")
        first.kill()
        assert await succeeds(lambda: store.get([each.meta.id]), 30) == [each.body]
        (new,) = await succeeds(lambda: kept(store), 30)
        await succeeds(follower.read, 30)

        assert set(follower.metas) == {each.meta.id, new.meta.id}


async def _until(holds):
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - another process has no events
            await asyncio.sleep(0.02)


async def _mean_added_s(url):
    """Return what a fetch costs, on average, once the breaker is open."""
    async with a_store(url, StoreOptions()) as store:
        begun = time.monotonic()
        for _ in range(5):
            with pytest.raises(StoreUnavailable):
                await store.get(["a"])
        assert time.monotonic() - begun < 2.0
        begun, calls = time.monotonic(), 0
        while time.monotonic() - begun < 1.0:
            with pytest.raises(StoreUnavailable):
                await store.get(["a"])
            with pytest.raises(StoreUnavailable):
                await store.put(record())
            calls += 1
            await asyncio.sleep(0.002)
        idle_s = 0.002 * calls
        return (time.monotonic() - begun - idle_s) / calls


async def test_a_server_that_refuses_adds_less_than_5_ms():
    assert await _mean_added_s(f"redis://127.0.0.1:{free_port()}") < 0.005


async def test_a_server_that_never_answers_adds_less_than_5_ms():
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(64)
        assert await _mean_added_s(f"redis://127.0.0.1:{hole.getsockname()[1]}") < 0.005


@pytest.mark.parametrize("fault", ["black hole", "reset", "refused"])
async def test_it_recovers_without_a_restart(server, options, fault):
    states = []
    options = dataclasses.replace(
        _QUICK, namespace=options.namespace, max_failures=3, on_available=states.append
    )
    async with a_store_behind_a_proxy(server, options) as (proxy, store):
        (each,) = await kept(store)
        follower = Follower(store)
        await follower.read()
        match fault:
            case "black hole":
                proxy.swallow()
            case "reset":
                proxy.refuses = True
                proxy.reset()
            case "refused":
                proxy.half_open()
                proxy.refuses = True
        async with asyncio.timeout(10):
            while states != [0]:
                with pytest.raises(StoreUnavailable):
                    await store.get([each.meta.id])
                with suppress(StoreUnavailable):
                    await store.tail(follower.position)
        proxy.heal()

        assert await succeeds(lambda: store.get([each.meta.id])) == [each.body]
        assert states == [0, 1]
        (new,) = await succeeds(lambda: kept(store))
        await follower.until(lambda: new.meta.id in follower.metas)
        assert follower.flushes == 0


async def test_garbage_on_the_way_is_an_unavailable_store_or_no_entry(server, options):
    options = dataclasses.replace(_QUICK, namespace=options.namespace, max_failures=1_000)
    async with a_store_behind_a_proxy(server, options) as (proxy, store):
        (each,) = await succeeds(lambda: kept(store))
        for _ in range(20):
            proxy.down.garbles = 1
            with suppress(StoreUnavailable):
                assert await store.get([each.meta.id]) in ([each.body], [None])
            proxy.down.garbles = 0
            assert await succeeds(lambda: store.get([each.meta.id])) == [each.body]


async def test_what_a_dead_server_loses_is_counted(options):
    lost = []
    options = dataclasses.replace(
        _QUICK, namespace=options.namespace, on_lost=lost.append, max_failures=1_000
    )
    async with a_store(f"redis://127.0.0.1:{free_port()}", options) as store:
        for _ in range(5):
            await store.put(record())
        with pytest.raises(StoreUnavailable):
            await store.delete(["a"])

    assert sum(lost) == 5


async def test_credentials_are_in_no_error_and_no_repr(options):
    with running_redis(settings=(f"requirepass {_SECRET}",)) as server:
        async with proxy_to(server.target) as proxy:
            right = f"redis://:{_SECRET}@{proxy.address}/0"
            async with a_store(right, options) as store:
                (each,) = await kept(store)
                assert await store.get([each.meta.id]) == [each.body]
                assert _SECRET not in repr(store) + repr(vars(store)["_breaker"])
            by_option = dataclasses.replace(options, password=_SECRET)
            async with a_store(f"redis://{proxy.address}", by_option) as store:
                assert await store.get([each.meta.id]) == [each.body]
            wrong = make_store(f"redis://:{_SECRET}x@{proxy.address}", options)
            await wrong.open()
            with pytest.raises(StoreUnavailable) as refused:
                await wrong.get(["a"])
            await wrong.close()

    assert _SECRET not in str(refused.value)
    assert refused.value.__suppress_context__


@asynccontextmanager
async def _tls_before(server, folder, *, asks_certificate=False):
    """Speak TLS before a server that does not."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    if asks_certificate:
        context.load_verify_locations(folder / "authority.crt")
        context.verify_mode = ssl.CERT_REQUIRED

    async def pump(reader, writer):
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader, writer):
        far_reader, far = await asyncio.open_unix_connection(server.socket_path)
        await asyncio.gather(pump(reader, far), pump(far_reader, writer))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
        await asyncio.sleep(0.02)


@pytest.mark.skipif(OPENSSL is None, reason="no openssl to make certificates with")
async def test_tls_trusts_only_the_authority_it_is_told(server, options, tmp_path):
    found(tmp_path, "authority")
    found(tmp_path, "stranger")
    for name in ("server", "client"):
        issue(tmp_path, name, "authority")
    trusting = dataclasses.replace(options, tls_ca=str(tmp_path / "authority.crt"))
    async with _tls_before(server, tmp_path) as place:
        async with a_store(f"rediss://{place}", trusting) as store:
            (each,) = await kept(store)
            assert await store.get([each.meta.id]) == [each.body]
        for wrong in (options, dataclasses.replace(options, tls_ca=f"{tmp_path}/stranger.crt")):
            async with a_store(f"rediss://{place}", wrong) as store:
                with pytest.raises(StoreUnavailable):
                    await store.get([each.meta.id])
    async with _tls_before(server, tmp_path, asks_certificate=True) as place:
        known = dataclasses.replace(
            trusting,
            tls_cert=str(tmp_path / "client.crt"),
            tls_key=str(tmp_path / "client.key"),
        )
        async with a_store(f"rediss://{place}", known) as store:
            assert await store.get([each.meta.id]) == [each.body]
        async with a_store(f"rediss://{place}", trusting) as store:
            with pytest.raises(StoreUnavailable):
                await store.get([each.meta.id])


async def test_a_process_that_writes_and_dies_between_its_steps_leaves_no_false_word(
    server, options
):
    """Each step of a put may be the last: what is read then is either whole or not there."""
    each = record()
    value = codec.encode_meta(each.meta) + codec.encode_body(each.meta.id, each.body)
    async with a_store(server.url, options) as store, a_client(server) as client:
        follower = Follower(store)
        await follower.read()
        await client.zadd(store._keys.ids, {each.meta.id: each.meta.expires_s * 1000})
        fresh = Follower(store)
        assert await fresh.read() == await follower.read() == []
        await client.set(store._keys.entry(each.meta.id), value, px=10_000)
        fresh = Follower(store)
        await fresh.read()
        assert set(fresh.metas) == {each.meta.id}
        assert await store.get([each.meta.id]) == [each.body]
        await client.unlink(store._keys.entry(each.meta.id))
        fresh = Follower(store)
        assert await fresh.read() == []


async def test_the_log_of_a_flush_says_flushed_and_no_more(server, options):
    async with a_store(server.url, options) as store:
        await kept(store, 3)
        follower = Follower(store)
        await follower.read()
        await store.flush()
        await store.delete(["a"])

        assert await follower.read() == [Flushed(), Deleted(("a",))]
