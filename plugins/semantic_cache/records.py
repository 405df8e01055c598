"""What a cache keeps: records of answers, and the changes that a store's log tells of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]
else:
    Vector = object  # whoever only names it need not wait for numpy

Position = str
"""Where a reader of a log stands; the store's own words, empty for the beginning."""


@dataclass(frozen=True, slots=True)
class Meta:
    """What every process knows of an entry without fetching its body.

    Args:
        id: of the entry, 16 hex digits, random.
        partition: 16 bytes, a hash of all that must be equal for a semantic hit.
        exact: 16 bytes, a hash of the whole call.
        route: name of the route that it belongs to.
        tenant: whose it is; empty where all share it.
        model: that was asked for.
        tags: words that a client or the config gave it, for deleting by.
        vector: (d,) unit embedding of the question; None for one that only the same call hits.
        embedder: fingerprint of what made the vector; empty without one.
        created_s: since the epoch.
        fresh_s: until when it is fresh, since the epoch.
        expires_s: until when it may be served at all (stale), since the epoch.
        body_bytes: of the record's question and answer.
        saves_s: seconds that the answer took from its provider.
        saves_usd: what it cost there; 0 where no price is known.
    """

    id: str
    partition: bytes
    exact: bytes
    route: str
    tenant: str
    model: str
    tags: tuple[str, ...]
    vector: Vector | None = field(repr=False)
    embedder: str
    created_s: float
    fresh_s: float
    expires_s: float
    body_bytes: int
    saves_s: float
    saves_usd: float


@dataclass(frozen=True, slots=True)
class Body:
    """What is fetched when an entry may be served.

    Args:
        question: the text of the last user turn, which another question is compared with.
        dialect: name of the client API format of the answer.
        answer: the answer's JSON document.
    """

    question: str = field(repr=False)
    dialect: str
    answer: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Record:
    """An entry whole: what goes into a store."""

    meta: Meta
    body: Body


@dataclass(frozen=True, slots=True)
class Inserted:
    """A log's word that an entry came."""

    meta: Meta


@dataclass(frozen=True, slots=True)
class Deleted:
    """A log's word that entries went.

    Args:
        ids: of the entries.
    """

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flushed:
    """A log's word that everything before went: a flush, or a log that begins anew."""


Change = Inserted | Deleted | Flushed


class StoreUnavailable(Exception):
    """The store cannot be asked now: gone, too slow, or behind an open circuit breaker.

    Its text names the store's address without credentials and never an entry.
    """


class Store(Protocol):
    """Keeps records for all processes that share it, and a log of what came and went.

    All methods may raise StoreUnavailable, and are safe to cancel at any point: a cancelled call
    never makes a later one read its reply. A torn or foreign record is no record.
    """

    @property
    def is_shared(self) -> bool:
        """Whether other processes see it; False for one process' own memory."""

    async def open(self) -> None:
        """Connect, or create; called once, before anything else.

        A server that is down is no error here: later calls say so, until it is back.
        """

    async def close(self) -> None:
        """Flush and release; nothing is called after."""

    async def put(self, record: Record) -> None:
        """Keep a record and append it to the log; an entry of the same id is replaced.

        It returns when the record is handed over; it is durable within a second.
        """

    async def get(self, ids: Sequence[str]) -> list[Body | None]:
        """Return bodies in the order of ids; None for what is gone, expired or torn."""

    async def delete(self, ids: Sequence[str]) -> None:
        """Forget entries and say so in the log; unknown ids are no error."""

    async def flush(self) -> None:
        """Forget everything and say so in the log."""

    async def tail(self, position: Position) -> tuple[list[Change], Position]:
        """Return what happened after a position, at most a few thousand changes, at once.

        From the beginning it gives what is there now (insertions only, expired ones left out).
        A position that the log no longer knows gives `Flushed` first and then what is there now.
        """
