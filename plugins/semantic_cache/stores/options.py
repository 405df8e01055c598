"""What a store is told beside its URL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

DEFAULT_NAMESPACE = "default"


def _unheard(_: int) -> None:
    """Hear a count and do nothing."""


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How a store is reached, and how long it is waited for; every field has a default.

    Args:
        namespace: caches of different namespaces at one URL never see each other; letters, digits,
            `.`, `_` and `-`. Keys of Redis begin `dragoman:cache:`, then it; a file of SQLite has
            it at its name's end unless it is the default.
        get_timeout_s: of `get`, which a request waits for.
        write_timeout_s: of all else, and how long `put` waits for room.
        max_failures: failures in a row that open the circuit breaker.
        retry_after_s: from its opening to the first probe; doubled, up to 30 s, by each that fails.
        max_log: changes that the log keeps; who fell behind more reads all that is there anew.
        max_waiting_bytes: of records handed over and not yet written.
        max_connections: to each Redis server.
        username: over the URL's.
        password: over the URL's.
        sentinel_password: of the sentinels themselves.
        tls_ca: file of certificates that a server's must be signed by; the system's by default.
        tls_cert: file of the client's certificate.
        tls_key: file of its key.
        tls_check_hostname: whether the server's certificate must name the host asked for.
        on_lost: called with how many records a failed write lost.
        on_available: called with 1 when the breaker closes, with 0 when it opens.
    """

    namespace: str = DEFAULT_NAMESPACE
    get_timeout_s: float = 0.05
    write_timeout_s: float = 1.0
    max_failures: int = 5
    retry_after_s: float = 0.5
    max_log: int = 20_000
    max_waiting_bytes: int = 64 * 1024 * 1024
    max_connections: int = 16
    username: str = ""
    password: str = field(default="", repr=False)
    sentinel_password: str = field(default="", repr=False)
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_check_hostname: bool = True
    on_lost: Callable[[int], None] = field(default=_unheard, repr=False)
    on_available: Callable[[int], None] = field(default=_unheard, repr=False)
