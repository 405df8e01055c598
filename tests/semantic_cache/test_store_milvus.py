"""The shared index, on Milvus Lite."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import numpy as np
import pytest

from plugins.semantic_cache.records import StoreUnavailable
from plugins.semantic_cache.stores.milvus import MilvusIndex
from tests.support.redis import free_port
from tests.support.stored import PATIENT

pytest.importorskip("pymilvus")
pytest.importorskip("milvus_lite")

_ANN, _BOB = b"a" * 16, b"b" * 16


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(tmp_path_factory.mktemp("milvus") / "cache.db")


@pytest.fixture
async def index(path, request):
    index = await opened(path, request.node.name)
    yield index
    await index.close()


async def opened(path, name, embedder="tiny-1"):
    options = dataclasses.replace(PATIENT, namespace=name)
    index = MilvusIndex(path, dimension=32, embedder=embedder, options=options)
    await index.open()
    return index


def vectors(count, seed=0):
    drawn = np.random.default_rng(seed).normal(size=(count, 32)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


async def filled(index, partition, rows, prefix=""):
    later = time.time() + 1_000
    for n, row in enumerate(rows):
        await index.insert(f"{prefix}{n}", partition, row, later)


async def test_the_nearest_of_a_partition_are_found_nearest_first(index):
    rows = vectors(60)
    await filled(index, _ANN, rows)
    for asked in vectors(10, seed=1):
        cosines = rows @ asked
        best = np.argsort(-cosines)[:3]
        found = await index.search(_ANN, asked, 3)

        assert [id_ for id_, _ in found] == [str(n) for n in best]
        assert [cosine for _, cosine in found] == pytest.approx(cosines[best], abs=1e-4)


async def test_a_search_never_leaves_its_partition(index):
    (asked,) = vectors(1)
    await filled(index, _BOB, [asked] * 50, "bob")
    await filled(index, _ANN, vectors(2, seed=3), "ann")

    assert {id_ for id_, _ in await index.search(_ANN, asked, 5)} == {"ann0", "ann1"}
    assert await index.search(b"c" * 16, asked, 5) == []


async def test_what_was_deleted_or_expired_is_not_found(index):
    rows = vectors(4)
    await filled(index, _ANN, rows)
    await index.insert("brief", _ANN, rows[0], time.time() - 1)
    await index.delete(["1", "unknown"])
    await index.delete([])
    assert {id_ for id_, _ in await index.search(_ANN, rows[0], 9)} == {"0", "2", "3"}
    await index.delete_expired()

    assert {id_ for id_, _ in await index.search(_ANN, rows[0], 9)} == {"0", "2", "3"}


async def test_a_vector_of_the_same_id_is_replaced(index):
    one, two = vectors(2)
    later = time.time() + 100
    await index.insert("a", _ANN, one, later)
    await index.insert("a", _ANN, two, later)
    found = await index.search(_ANN, two, 5)

    assert [id_ for id_, _ in found] == ["a"]
    assert found[0][1] == pytest.approx(1, abs=1e-4)


async def test_vectors_of_another_embedder_are_never_compared(index, path, request):
    (row,) = vectors(1)
    await filled(index, _ANN, [row])
    other = await opened(path, request.node.name, embedder="small-2")
    found = await other.search(_ANN, row, 5)
    await other.close()

    assert found == []


async def test_two_handles_share_what_is_there(index, path, request):
    (row,) = vectors(1)
    other = await opened(path, request.node.name)
    await filled(index, _ANN, [row], "shared")
    async with asyncio.timeout(10):
        while not (found := await other.search(_ANN, row, 1)):  # noqa: ASYNC110 - a server's
            await asyncio.sleep(0.05)
    await other.close()

    assert [id_ for id_, _ in found] == ["shared0"]


async def test_a_server_that_is_gone_is_an_unavailable_store_without_its_credentials():
    options = dataclasses.replace(PATIENT, get_timeout_s=0.05, max_failures=2)
    url = f"http://ann:s3cr3t@127.0.0.1:{free_port()}"
    index = MilvusIndex(url, dimension=32, embedder="tiny-1", options=options)
    await index.open()
    for _ in range(2):
        with pytest.raises(StoreUnavailable) as refused:
            await index.search(_ANN, vectors(1)[0], 1)
        assert "s3cr3t" not in str(refused.value)
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await index.search(_ANN, vectors(1)[0], 1)

    assert time.monotonic() - begun < 0.02
    await index.close()
