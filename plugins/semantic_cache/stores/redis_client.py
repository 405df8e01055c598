"""Clients of Redis: one server, one that sentinels know, or a cluster."""

from __future__ import annotations

from typing import Any

from redis.asyncio import (
    BlockingConnectionPool,
    Connection,
    Redis,
    RedisCluster,
    Sentinel,
    SentinelConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from plugins.semantic_cache.stores.address import Address
from plugins.semantic_cache.stores.options import StoreOptions

FAILURES: tuple[type[Exception], ...] = (RedisError, RedisClusterException, OSError, ValueError)
"""What a client raises when its server failed; a ValueError by what is no Redis."""

Client = Redis | RedisCluster


def make_client(address: Address, options: StoreOptions) -> Client:
    """Make a client; it connects when it is asked something.

    Its own timeouts are those of a write: shorter ones are the caller's, who cancels.
    """
    settings: dict[str, Any] = {
        "username": options.username or address.username or None,
        "password": options.password or address.password or None,
        **_waiting(options),
    }
    tls = _tls(options) if address.is_tls else {}
    encrypted: dict[str, Any] = {"ssl": True, **tls} if tls else {}
    if address.kind == "cluster":
        return RedisCluster(
            startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
            require_full_coverage=False,
            max_connections=options.max_connections,
            **encrypted,
            **settings,
        )
    settings["db"] = address.db
    if address.kind == "sentinel":
        own = {**_waiting(options), **encrypted, "password": options.sentinel_password or None}
        sentinels = Sentinel(address.hosts, sentinel_kwargs=own, **settings)  # type: ignore[no-untyped-call]
        known: Redis = sentinels.master_for(
            address.service, max_connections=options.max_connections, **encrypted
        )
        return known
    pool = BlockingConnectionPool(
        max_connections=options.max_connections,
        timeout=options.write_timeout_s,
        **_place(address),
        **tls,
        **settings,
    )
    return Redis(connection_pool=pool)


async def close_client(client: Client) -> None:
    """Close a client and its connections."""
    if isinstance(client, RedisCluster):
        await client.aclose()
        return
    pool = client.connection_pool
    await client.aclose(close_connection_pool=True)
    if isinstance(pool, SentinelConnectionPool):
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()


def _place(address: Address) -> dict[str, Any]:
    if address.path:
        return {"connection_class": UnixDomainSocketConnection, "path": address.path}
    host, port = address.hosts[0]
    kind = SSLConnection if address.is_tls else Connection
    return {"connection_class": kind, "host": host, "port": port}


def _waiting(options: StoreOptions) -> dict[str, Any]:
    return {
        "socket_timeout": options.write_timeout_s,
        "socket_connect_timeout": options.write_timeout_s,
        # Once more: a server that was restarted left dead connections in the pool.
        "retry": Retry(NoBackoff(), 1),
        # Nothing that comes unasked, and no questions of the client's own.
        "protocol": 2,
        "driver_info": None,
    }


def _tls(options: StoreOptions) -> dict[str, Any]:
    return {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": options.tls_check_hostname,
        "ssl_ca_certs": options.tls_ca or None,
        "ssl_certfile": options.tls_cert or None,
        "ssl_keyfile": options.tls_key or None,
    }
