"""HTTP headers as Envoy delivers them, and the edits that a plugin may ask for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pipeline.errors import InvalidHeader

# RFC 9110 §5.6.2 `token`, lower-cased because Envoy lower-cases; a leading colon only for the
# pseudo-headers that a filter may rewrite.
_NAME = re.compile(r"(?::(?:path|method|authority|status)|[a-z0-9!#$%&'*+.^_`|~-]+)\Z")
# RFC 9110 §5.5 field-value: no control characters but HTAB. Envoy answers 500 to any other.
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*\Z")
# Envoy's default limit for all headers together is 60 KiB; one value larger than that is a fault.
_MAX_VALUE_BYTES = 60 * 1024


class Headers:
    """An ordered, immutable header map: lower-case names, duplicates kept, values as bytes.

    Args:
        pairs: (name, value) in wire order; names already lower-case, as Envoy sends them.
    """

    __slots__ = ("_first", "_pairs")

    def __init__(self, pairs: Iterable[tuple[str, bytes]] = ()) -> None:
        self._pairs = tuple(pairs)
        # First values by name; reversed, so that the first of a name is the one that stays.
        self._first = dict(self._pairs[::-1])

    @property
    def pairs(self) -> tuple[tuple[str, bytes], ...]:
        """Every header in wire order, byte for byte."""
        return self._pairs

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of a header, decoded as UTF-8 with surrogate escapes."""
        value = self._first.get(name)
        return default if value is None else value.decode("utf-8", "surrogateescape")

    def get_all(self, name: str) -> list[str]:
        """Return every value of a header in order."""
        return [v.decode("utf-8", "surrogateescape") for k, v in self._pairs if k == name]

    def edited(self, edits: HeaderEdits) -> Headers:
        """Return these headers as they are after the edits."""
        gone = edits.remove.union(edits.set)
        kept = [pair for pair in self._pairs if pair[0] not in gone]
        kept += [(k, v.encode("utf-8", "surrogateescape")) for k, v in edits.set.items()]
        return Headers(kept)

    def __contains__(self, name: object) -> bool:
        return name in self._first

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __repr__(self) -> str:
        # Names only: a header's value may be a credential.
        return f"Headers({', '.join(self)})"


@dataclass(frozen=True, slots=True)
class HeaderEdits:
    """Changes to headers: `set` overwrites or adds, `remove` deletes; checked when made.

    Args:
        set: lower-case name to new value.
        remove: lower-case names.

    Raises:
        InvalidHeader: a name is no token, or a value holds a control character or a lone surrogate,
            or is over 60 KiB.
    """

    set: Mapping[str, str] = field(default_factory=dict)
    remove: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in (*self.set, *self.remove):
            if not _NAME.match(name):
                raise InvalidHeader(f"{name!r} is no legal lower-case header name")
        for name, value in self.set.items():
            if not _VALUE.match(value) or not _fits(value):
                raise InvalidHeader(f"the value for {name!r} is not legal in an HTTP header")
        object.__setattr__(self, "set", MappingProxyType(dict(self.set)))
        object.__setattr__(self, "remove", frozenset(self.remove))

    def __repr__(self) -> str:
        # Names only, as above.
        return f"HeaderEdits(set={sorted(self.set)}, remove={sorted(self.remove)})"

    def __bool__(self) -> bool:
        return bool(self.set or self.remove)

    def then(self, later: HeaderEdits) -> HeaderEdits:
        """Return one edit equal to this one followed by a later one."""
        if not self:
            return later
        if not later:
            return self
        kept = {k: v for k, v in self.set.items() if k not in later.remove}
        removed = (self.remove - later.set.keys()) | later.remove
        return HeaderEdits(set={**kept, **later.set}, remove=removed)

    def without_pseudo(self) -> HeaderEdits:
        """Return the edits of what is no pseudo-header (`:path`, `:authority`, …)."""
        if not any(name.startswith(":") for name in (*self.set, *self.remove)):
            return self
        return HeaderEdits(
            set={k: v for k, v in self.set.items() if not k.startswith(":")},
            remove=frozenset(name for name in self.remove if not name.startswith(":")),
        )


def _fits(value: str) -> bool:
    try:
        return len(value.encode("utf-8", "surrogateescape")) <= _MAX_VALUE_BYTES
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return False


NO_EDITS = HeaderEdits()
