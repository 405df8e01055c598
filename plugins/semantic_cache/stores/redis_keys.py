"""The keys of a Redis store."""

from __future__ import annotations

PREFIX = "dragoman:cache:"


class RedisKeys:
    """Names the keys of one cache; all begin alike, so that an ACL can name them by a pattern.

    The log and the set of ids have a hash tag: a cluster keeps both in one slot, and they are
    changed together. Entries have none: a cluster spreads them, and with them the memory.

    Args:
        namespace: of the cache, without braces.
    """

    def __init__(self, namespace: str) -> None:
        self._entries = f"{PREFIX}{namespace}:"
        self.log = f"{PREFIX}{{{namespace}}}:log"
        self.ids = f"{PREFIX}{{{namespace}}}:ids"

    def entry(self, id_: str) -> bytes:
        """Return the key of an entry."""
        return self.entry_of(to_member(id_))

    def entry_of(self, member: bytes) -> bytes:
        """Return the key of an entry whose id is in the set."""
        return self._entries.encode() + member


def to_member(id_: str) -> bytes:
    """Write an id as a member of the set."""
    return id_.encode("utf-8", "surrogatepass")


def to_id(member: bytes) -> str | None:
    """Read a member of the set; None if it is no id."""
    try:
        return member.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
