"""Stores: where entries are kept, chosen by a URL."""

from __future__ import annotations

import re

from plugins.semantic_cache.records import Store
from plugins.semantic_cache.stores.address import parse
from plugins.semantic_cache.stores.faults import InvalidAddress, UnusableStore
from plugins.semantic_cache.stores.options import StoreOptions

__all__ = ["InvalidAddress", "StoreOptions", "UnusableStore", "make_store"]


def make_store(url: str, options: StoreOptions | None = None) -> Store:
    """Make the store that a URL names; nothing is connected to before its `open`.

    Args:
        url: `memory`, `sqlite:///PATH`, `redis://[USER:PASSWORD@]HOST[:PORT][/DB]`, `rediss://…`
            for TLS, `redis+unix:///SOCKET`, `redis+sentinel://HOST,HOST/SERVICE[/DB]` or
            `redis+cluster://HOST,HOST`; the last two with `rediss` too.
        options: the defaults if None.

    Raises:
        InvalidAddress: a ValueError, if the URL or the namespace is none.
        ModuleNotFoundError: if the store's client is not installed.
    """
    options = options or StoreOptions()
    if not re.fullmatch(r"[\w.-]{1,100}", options.namespace, re.ASCII):
        raise InvalidAddress("a namespace is made of letters, digits, '.', '_' and '-'")
    address = parse(url)
    if address.kind == "memory":
        from plugins.semantic_cache.stores.memory import MemoryStore  # noqa: PLC0415

        return MemoryStore(max_log=options.max_log)
    if address.kind == "sqlite":
        from plugins.semantic_cache.stores.sqlite import SqliteStore  # noqa: PLC0415

        return SqliteStore(address, options)
    from plugins.semantic_cache.stores.redis import RedisStore  # noqa: PLC0415 - an extra

    return RedisStore(address, options)
