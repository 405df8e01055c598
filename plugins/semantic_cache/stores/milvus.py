"""An index in Milvus, shared by all nodes: for more vectors than a node's memory holds."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from plugins.semantic_cache.records import Vector
from plugins.semantic_cache.stores.breaker import Breaker
from plugins.semantic_cache.stores.options import StoreOptions

T = TypeVar("T")

_ID_LETTERS = 64
_PARTITION_LETTERS = 64


class MilvusIndex:
    """Finds the nearest questions of a partition by asking a Milvus server.

    The partition is a part of the search there, not a filter over its results. One collection
    holds the vectors of one embedder in one namespace; those of another are never compared.

    Args:
        url: `http://[USER:PASSWORD@]HOST:PORT` or `https://…`; or the path of a file, which ends
            in `.db`, for Milvus Lite.
        dimension: of the vectors.
        embedder: fingerprint of what makes them.
        options: of the store; those of TLS do not apply.

    Raises:
        ModuleNotFoundError: by `open`, if the extra `milvus` is not installed.
    """

    def __init__(
        self, url: str, *, dimension: int, embedder: str, options: StoreOptions | None = None
    ) -> None:
        self._options = options or StoreOptions()
        self._dimension = dimension
        parts = urlsplit(url)
        user = self._options.username or parts.username or ""
        password = self._options.password or parts.password or ""
        self._token = f"{user}:{password}" if user else password
        self._uri = url
        if parts.netloc:
            self._uri = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        whose = hashlib.sha256(f"{self._options.namespace}\0{embedder}\0{dimension}".encode())
        self._collection = f"dragoman_cache_{whose.hexdigest()[:24]}"
        self._client: Any = None
        self._making: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Make the client; a server that is down is connected to when it is back."""
        pymilvus = await asyncio.to_thread(importlib.import_module, "pymilvus")
        grpc = importlib.import_module("grpc")
        self._pymilvus: Any = pymilvus
        self._breaker = Breaker(
            f"milvus at {self._uri}",
            failures=(pymilvus.MilvusException, grpc.RpcError, OSError, ValueError),
            probe=self._probe,
            options=self._options,
        )
        self._client = pymilvus.AsyncMilvusClient(self._uri, token=self._token)

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._breaker.close()
            await self._client.close()

    async def insert(self, id_: str, partition: bytes, vector: Vector, expires_s: float) -> None:
        """Add a vector, or replace it.

        Args:
            id_: of the entry, at most 64 letters.
            partition: that it belongs to, at most 32 bytes.
            vector: (d,) of unit length.
            expires_s: since the epoch; from then on no search finds it.

        Raises:
            StoreUnavailable: if the server cannot be asked.
        """
        row = {
            "id": id_,
            "partition": partition.hex(),
            "expires_s": expires_s,
            "vector": vector.tolist(),
        }
        await self._write(lambda: self._client.upsert(self._collection, [row]))

    async def delete(self, ids: Sequence[str]) -> None:
        """Forget vectors; unknown ids are no error.

        Raises:
            StoreUnavailable: if the server cannot be asked.
        """
        if ids:
            await self._write(lambda: self._client.delete(self._collection, ids=list(ids)))

    async def delete_expired(self) -> None:
        """Forget what no search finds any more.

        Raises:
            StoreUnavailable: if the server cannot be asked.
        """
        past = f"expires_s <= {time.time():.3f}"
        await self._write(lambda: self._client.delete(self._collection, filter=past))

    async def search(self, partition: bytes, vector: Vector, k: int) -> list[tuple[str, float]]:
        """Return the at most k nearest of a partition: id and cosine, nearest first.

        Raises:
            StoreUnavailable: if the server cannot be asked, or is too slow.
        """
        # Digits only, so nothing of a client's gets into the expression.
        within = f'partition == "{partition.hex()}" and expires_s > {time.time():.3f}'

        async def ask() -> Any:
            await self._made()
            return await self._client.search(
                self._collection,
                [vector.tolist()],
                filter=within,
                limit=k,
                timeout=self._options.get_timeout_s,
            )

        hits = await self._breaker.call(ask, self._options.get_timeout_s)
        return [(str(hit["id"]), float(hit["distance"])) for hit in hits[0]]

    async def _write(self, write: Callable[[], Awaitable[object]]) -> None:
        async def ask() -> None:
            await self._made()
            await write()

        await self._breaker.call(ask, self._options.write_timeout_s)

    async def _probe(self) -> None:
        await self._made()
        await self._client.has_collection(self._collection)

    async def _made(self) -> None:
        """Wait until the collection is there; who is in a hurry leaves others to wait."""
        if self._making is None or (self._making.done() and self._making.exception() is not None):
            self._making = asyncio.ensure_future(asyncio.to_thread(self._make))
        await asyncio.shield(self._making)

    def _make(self) -> None:
        # The client that waits makes indexes on a server and in a file alike.
        client = self._pymilvus.MilvusClient(
            self._uri, token=self._token, timeout=self._options.write_timeout_s
        )
        try:
            if not client.has_collection(self._collection):
                self._create(client)
            client.load_collection(self._collection)
        finally:
            client.close()

    def _create(self, client: Any) -> None:
        kinds = self._pymilvus.DataType
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", kinds.VARCHAR, max_length=_ID_LETTERS, is_primary=True)
        schema.add_field(
            "partition", kinds.VARCHAR, max_length=_PARTITION_LETTERS, is_partition_key=True
        )
        schema.add_field("expires_s", kinds.DOUBLE)
        schema.add_field("vector", kinds.FLOAT_VECTOR, dim=self._dimension)
        indexes = client.prepare_index_params()
        indexes.add_index("vector", index_type="AUTOINDEX", metric_type="COSINE")
        client.create_collection(
            self._collection, schema=schema, index_params=indexes, consistency_level="Bounded"
        )
