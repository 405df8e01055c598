"""The URL of a store, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from plugins.semantic_cache.stores.faults import InvalidAddress

Kind = Literal["memory", "sqlite", "redis", "sentinel", "cluster"]

_FORMS = (
    "memory, sqlite:///PATH, redis://HOST:PORT/DB, rediss://… (TLS), redis+unix:///PATH, "
    "redis+sentinel://HOST,HOST/SERVICE, redis+cluster://HOST,HOST"
)
_KINDS: dict[str, Kind] = {"": "redis", "sentinel": "sentinel", "cluster": "cluster"}
_SCHEME = re.compile(r"(redis|rediss)(?:\+(sentinel|cluster))?")
_PORTS = {"redis": 6379, "cluster": 6379, "sentinel": 26379}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is.

    Args:
        kind: of store.
        hosts: with their ports; the one of a Redis, or those of sentinels or of a cluster.
        path: of a file, or of the socket of a Redis.
        service: that the sentinels know.
        db: number of the database.
        username: of the URL; empty without one.
        password: of the URL; empty without one.
        is_tls: whether connections are encrypted.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    db: int = 0
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    is_tls: bool = False

    def __str__(self) -> str:
        """Name the place, as errors and logs may: without credentials."""
        if self.kind == "memory":
            return "memory"
        if self.kind == "sqlite":
            return f"sqlite:{self.path}"
        if self.path:
            return f"redis+unix:{self.path}"
        hosts = ",".join(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts
        )
        scheme = ("rediss" if self.is_tls else "redis") + (
            "" if self.kind == "redis" else f"+{self.kind}"
        )
        return f"{scheme}://{hosts}/{self.service or self.db}"


def parse(url: str) -> Address:
    """Take a store's URL apart.

    A password's special characters are percent-encoded. `sqlite:///var/cache.db` is an absolute
    path, `sqlite:cache.db` one in the working directory.

    Raises:
        InvalidAddress: if it is none.
    """
    if url in ("memory", "memory:", "memory://"):
        return Address("memory")
    scheme, colon, rest = url.partition(":")
    if colon and scheme == "sqlite":
        return _file(rest)
    if colon and scheme == "redis+unix":
        path = "/" + rest.lstrip("/")
        if path == "/":
            raise InvalidAddress("a store at redis+unix:///PATH needs the path of a socket")
        return Address("redis", path=unquote(path))
    match = _SCHEME.fullmatch(scheme)
    if match is None or not rest.startswith("//"):
        raise InvalidAddress(f"no store has a URL of this form; there are: {_FORMS}")
    return _servers(_KINDS[match[2] or ""], rest[2:], is_tls=match[1] == "rediss")


def _file(rest: str) -> Address:
    path = unquote(rest)
    if path.startswith("//") and not path.startswith("///"):
        raise InvalidAddress("a file's URL names no host: sqlite:///PATH, or sqlite:PATH")
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    if path in ("", "/"):
        raise InvalidAddress("a store at sqlite:///PATH needs the path of a file")
    return Address("sqlite", path=path)


def _servers(kind: Kind, rest: str, *, is_tls: bool) -> Address:
    place, _, tail = rest.partition("/")
    if "?" in rest or "#" in rest:
        raise InvalidAddress("a store's URL takes no query; its options are keys of the config")
    credentials, _, names = place.rpartition("@")
    username, _, password = credentials.partition(":")
    hosts = tuple(_host(name, _PORTS[kind]) for name in names.split(","))
    tail = unquote(tail)
    service, db = "", tail
    if kind == "sentinel":
        service, _, db = tail.partition("/")
        if not service:
            raise InvalidAddress("redis+sentinel://HOST,HOST/SERVICE needs the service's name")
    if kind == "redis" and len(hosts) != 1:
        raise InvalidAddress("redis://HOST:PORT names one server; see redis+cluster://")
    if db and not db.isdecimal():
        raise InvalidAddress("the database of a Redis is a number: redis://HOST:PORT/0")
    if kind == "cluster" and int(db or 0):
        raise InvalidAddress("a cluster has database 0 only")
    return Address(
        kind,
        hosts,
        service=service,
        db=int(db or 0),
        username=unquote(username),
        password=unquote(password),
        is_tls=is_tls,
    )


def _host(name: str, port: int) -> tuple[str, int]:
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(\d{1,5}))?", name)
    if match is None or int(match[2] or 1) not in range(1, 65_536):
        raise InvalidAddress("a store's URL names its hosts as HOST or HOST:PORT")
    return match[1].strip("[]"), int(match[2] or port)
