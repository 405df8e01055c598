"""Entries: what a process knows of each answer in a store, without a Python object for each."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugins.semantic_cache.key_table import KeyTable
from plugins.semantic_cache.records import Meta
from plugins.semantic_cache.words import Words

_UNUSED = -1
_ID_BYTES = 8
HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer in the store, as a replica tells of it; fields are those of `Meta`.

    Args:
        hits: how often this process served it.
    """

    id: str
    route: str
    tenant: str
    model: str
    tags: tuple[str, ...]
    created_s: float
    fresh_s: float
    expires_s: float
    body_bytes: int
    saves_s: float
    saves_usd: float
    hits: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What entries are asked for by; None asks for nothing."""

    tag: str | None = None
    tenant: str | None = None
    model: str | None = None
    route: str | None = None


class Entries:
    """Columns of the fields of entries; an entry is a row of them, its slot.

    A slot that was removed is used again. A million entries take some 110 MB here. What they save
    is kept with seven digits.
    """

    def __init__(self) -> None:
        self._ids = KeyTable(_ID_BYTES)
        self._exacts = KeyTable(HASH_BYTES)
        self._routes, self._tenants, self._models = Words[str](), Words[str](), Words[str]()
        self._tags = Words[tuple[str, ...]]()
        self.route = array("i")
        self._tenant, self._model, self._tag_set = array("i"), array("i"), array("i")
        self.created_s, self._fresh_s, self.expires_s = array("d"), array("d"), array("d")
        self.body_bytes = array("I")
        self.saves_s, self.saves_usd = array("f"), array("f")
        self.hits = array("i")
        self._free = array("i")
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def by_id(self, id_: str) -> int:
        """Return the slot of an id, -1 without one."""
        key = id_key(id_)
        return -1 if key is None else self._ids.find(key)

    def by_exact(self, exact: bytes) -> int:
        """Return the slot of the entry of a call, -1 without one."""
        return self._exacts.find(exact)

    def exact(self, slot: int) -> bytes:
        """Return the hash of the call of an entry."""
        return self._exacts.key(slot)

    def id(self, slot: int) -> str:
        """Return an entry's id."""
        return self._ids.key(slot).hex()

    def route_number(self, route: str) -> int:
        """Return the number in the column `route` of a route's entries, -1 if it has none."""
        return self._routes.number(route)

    def route_name(self, number: int) -> str:
        """Return the route of a number in the column `route`."""
        return self._routes[number]

    def add(self, meta: Meta) -> int:
        """Add an entry whose id and call are not there, and return its slot."""
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self.route)
            for column in self._columns():
                column.append(0)
        self._ids.write(slot, bytes.fromhex(meta.id))
        self._ids.add(slot)
        self._exacts.write(slot, meta.exact)
        self._exacts.add(slot)
        self.route[slot] = self._routes.use(meta.route)
        self._tenant[slot] = self._tenants.use(meta.tenant)
        self._model[slot] = self._models.use(meta.model)
        self._tag_set[slot] = self._tags.use(meta.tags)
        self.created_s[slot], self._fresh_s[slot] = meta.created_s, meta.fresh_s
        self.expires_s[slot] = meta.expires_s
        self.body_bytes[slot] = meta.body_bytes
        self.saves_s[slot], self.saves_usd[slot] = meta.saves_s, meta.saves_usd
        self.hits[slot] = 0
        self._length += 1
        return slot

    def remove(self, slot: int) -> None:
        """Remove an entry that is there."""
        self._ids.remove(slot)
        self._exacts.remove(slot)
        self._routes.release(self.route[slot])
        self._tenants.release(self._tenant[slot])
        self._models.release(self._model[slot])
        self._tags.release(self._tag_set[slot])
        self.route[slot] = _UNUSED
        self._free.append(slot)
        self._length -= 1

    def __getitem__(self, slot: int) -> Entry:
        return Entry(
            id=self.id(slot),
            route=self._routes[self.route[slot]],
            tenant=self._tenants[self._tenant[slot]],
            model=self._models[self._model[slot]],
            tags=self._tags[self._tag_set[slot]],
            created_s=self.created_s[slot],
            fresh_s=self._fresh_s[slot],
            expires_s=self.expires_s[slot],
            body_bytes=self.body_bytes[slot],
            saves_s=self.saves_s[slot],
            saves_usd=self.saves_usd[slot],
            hits=self.hits[slot],
        )

    def select(self, wanted: Wanted, now_s: float) -> NDArray[np.intp]:
        """Return the slots (n,) of entries that have all that is wanted, newest first."""
        if not len(self.route):
            return np.empty(0, np.intp)
        routes = np.frombuffer(self.route, np.int32)
        suits = (routes != _UNUSED) & (np.frombuffer(self.expires_s) > now_s)
        if wanted.route is not None:
            suits &= routes == self._number(self._routes, wanted.route)
        if wanted.tenant is not None:
            tenants = np.frombuffer(self._tenant, np.int32)
            suits &= tenants == self._number(self._tenants, wanted.tenant)
        if wanted.model is not None:
            models = np.frombuffer(self._model, np.int32)
            suits &= models == self._number(self._models, wanted.model)
        if (tag := wanted.tag) is not None:
            having = self._tags.numbers(lambda tags: tag in tags)
            suits &= np.isin(np.frombuffer(self._tag_set, np.int32), having)
        slots = np.flatnonzero(suits)
        created_s = np.frombuffer(self.created_s)[slots]
        return slots[np.argsort(-created_s, kind="stable")]

    @property
    def size_bytes(self) -> int:
        """What it takes of memory, about."""
        columns = sum(column.itemsize * len(column) for column in self._columns())
        words = (self._routes, self._tenants, self._models)
        return (
            columns
            + 4 * len(self._free)
            + self._ids.size_bytes
            + self._exacts.size_bytes
            + sum(each.size_bytes for each in words)
            + self._tags.size_bytes
        )

    @staticmethod
    def _number(words: Words[str], word: str) -> int:
        # -1 marks an unused slot, so a word that nothing uses must be another number.
        number = words.number(word)
        return _UNUSED - 1 if number < 0 else number

    def _columns(self) -> tuple[array[int] | array[float], ...]:
        return (
            *(self.route, self._tenant, self._model, self._tag_set),
            *(self.created_s, self._fresh_s, self.expires_s),
            *(self.body_bytes, self.saves_s, self.saves_usd, self.hits),
        )


def id_key(id_: str) -> bytes | None:
    """Return the 8 bytes of an id; None of what is no id."""
    try:
        key = bytes.fromhex(id_)
    except ValueError:
        return None
    return key if len(key) == _ID_BYTES and key.hex() == id_ else None
